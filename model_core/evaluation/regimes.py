"""Losses window by window, and the skill in parts of the test span: what one number for all of it hides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model_core.evaluation.baselines import BaselineForecast
from model_core.evaluation.predict import Predictions
from model_core.evaluation.significance import Losses, compare
from model_core.metrics.calibration import volatility_thirds
from model_core.results.regimes import Regimes, RegimeSkill
from model_core.results.scores import MODEL
from model_core.results.tables import loss_column


@dataclass(frozen=True)
class CloseLosses:
    """How a distribution of Close did in each window; both [n]."""

    crps: Losses
    held: Losses
    """Share of the window's days whose Close was inside the 90 % interval."""


@dataclass(frozen=True)
class WindowLosses:
    """Losses of every forecast in each test window, in time order."""

    squared: Mapping[str, Losses]
    """Mean squared log error [n] over days and targets, by the name of the forecast, ``model`` among them."""
    close: Mapping[str, CloseLosses]
    """By the name of the distribution; ``model`` is among them if it forecasts one."""


def squared_losses(
    predictions: Predictions, baselines: tuple[BaselineForecast, ...]
) -> dict[str, NDArray[np.float64]]:
    """[n] mean squared log error of each window, by the name of the forecast."""
    forecasts = {MODEL: predictions.forecast} | {b.name: b.displacement for b in baselines}
    return {
        name: np.square(forecast - predictions.true).mean(axis=(1, 2)) for name, forecast in forecasts.items()
    }


def loss_table(predictions: Predictions, losses: WindowLosses) -> pa.Table:
    """``losses.parquet``: a row a window."""
    columns = {
        "anchor_date": pa.array(predictions.dates[:, 0], pa.date32()),
        "last_date": pa.array(predictions.dates[:, -1], pa.date32()),
        "scale": pa.array(predictions.scale),
    }
    columns |= {loss_column("squared_log_error", name): pa.array(v) for name, v in losses.squared.items()}
    for name, close in losses.close.items():
        columns[loss_column("close_crps", name)] = pa.array(close.crps)
        columns[loss_column("close_held_90", name)] = pa.array(close.held)
    return pa.table(columns)


def regimes_of(
    predictions: Predictions, losses: WindowLosses, *, point: str, distribution: str, confidence: float
) -> Regimes:
    """Skill by year and by volatility.

    Args:
        point: name of the best baseline; distribution: of the best distribution among the baselines.
    """
    horizon = predictions.true.shape[1]

    def skill(rows: NDArray[np.int64]) -> RegimeSkill:
        judged = None
        if MODEL in losses.close:
            ours, theirs = (losses.close[name].crps[rows] for name in (MODEL, distribution))
            judged = compare(ours, theirs, horizon=horizon, confidence=confidence)
        ours, theirs = (losses.squared[name][rows] for name in (MODEL, point))
        return RegimeSkill(
            windows=len(rows),
            point=compare(ours, theirs, horizon=horizon, confidence=confidence),
            distribution=judged,
        )

    years = predictions.dates[:, 1].astype("datetime64[Y]").astype(str)
    thirds = volatility_thirds(predictions.scale)
    return Regimes(
        by_year={year: skill(np.flatnonzero(years == year)) for year in np.unique(years).tolist()},
        # In time order, so that windows which share days stay neighbors.
        by_volatility={name: skill(np.sort(rows)) for name, rows in thirds.items() if len(rows)},
    )
