"""Two models, window by window: whether one forecasts better than the other, from what both said of the same days."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.artifacts import intact_file
from model_core.axes import TARGETS
from model_core.evaluation.significance import compare
from model_core.results.skill import Comparison
from model_core.results.tables import PREDICTIONS, price_column, read_table

_SAME = 1e-9
"""Largest difference, in log price, between two notes of one price."""
_QUANTILES = {"q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Paired:
    """The first of two models against the second, on the windows that both forecast."""

    windows: int
    """That both scored."""
    point: Comparison | None
    """In squared log error of all targets and days."""
    distribution: Comparison | None
    """In the mean pinball loss of Close at 5, 25, 75 and 95 %; null where a run lacks one of them."""
    reason: str = ""
    """Why there is no comparison."""


def paired(first: Path, second: Path, confidence: float) -> Paired:
    """Compare the predictions in two folders of the evaluate step.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    return paired_tables(predictions_in(first), predictions_in(second), confidence)


def paired_tables(one: pd.DataFrame, other: pd.DataFrame, confidence: float) -> Paired:
    """The same of two tables as ``predictions.parquet`` holds them."""
    if one["step"].max() != other["step"].max():
        return Paired(0, None, None, "they forecast different numbers of days")
    both = one.merge(other, on=["anchor_date", "date", "step"], suffixes=("", "_other"))
    horizon = int(one["step"].max())
    # A window counts if all of its days are there.
    both = both[both.groupby("anchor_date")["step"].transform("count") == horizon]
    if both.empty:
        return Paired(0, None, None, "no test window is in both")
    truth = [price_column(target, "true") for target in TARGETS]
    if np.abs(both[truth].to_numpy() - both[[f"{name}_other" for name in truth]].to_numpy()).max() > _SAME:
        return Paired(0, None, None, "what came differs, so that they are about different markets")
    both = both.sort_values(["anchor_date", "step"])

    def against(losses: NDArray[np.float64], others: NDArray[np.float64]) -> Comparison:
        return compare(
            _by_window(losses, horizon), _by_window(others, horizon), horizon=horizon, confidence=confidence
        )

    point = against(_squared(both, ""), _squared(both, "_other"))
    has_quantiles = all(price_column("Close", part) in frame for frame in (one, other) for part in _QUANTILES)
    distribution = against(_pinball(both, ""), _pinball(both, "_other")) if has_quantiles else None
    return Paired(len(both) // horizon, point, distribution)


def predictions_in(evaluation: Path) -> pd.DataFrame:
    """``predictions.parquet`` as the evaluate step left it.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    intact_file(evaluation, PREDICTIONS.file, producer=PREDICTIONS.step)
    return read_table(PREDICTIONS, evaluation, PREDICTIONS.always)


def _by_window(losses: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Mean over the days of each window [n] of losses by day [n * horizon]."""
    return losses.reshape(-1, horizon).mean(axis=1)


def _squared(frame: pd.DataFrame, whose: str) -> NDArray[np.float64]:
    """Squared error of each forecast day [n * horizon], mean over the targets."""
    forecast, true = (
        frame[[f"{price_column(target, part)}{whose}" for target in TARGETS]].to_numpy(dtype=np.float64)
        for part in ("forecast", "true")
    )
    return np.square(forecast - true).mean(axis=1)


def _pinball(frame: pd.DataFrame, whose: str) -> NDArray[np.float64]:
    """Pinball loss of each day [n * horizon], mean over the quantiles of Close."""
    true = frame[f"{price_column('Close', 'true')}{whose}"].to_numpy(dtype=np.float64)
    losses = []
    for part, level in _QUANTILES.items():
        over = true - frame[f"{price_column('Close', part)}{whose}"].to_numpy(dtype=np.float64)
        losses.append(np.maximum(level * over, (level - 1) * over))
    return np.mean(losses, axis=0)
