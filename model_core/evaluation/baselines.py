"""Trivial forecasts on the very windows that the model is scored on: cheap, deterministic, hard to beat.

All forecasts are displacements, log price − anchor, as [n, P, T].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.splits import Span
from model_core.data.walk import CLOSE, displacements, range_scale

Displacements = NDArray[np.float64]
_RIDGE_ROWS = 20
"""Known rows that the ridge regression looks at."""


@dataclass(frozen=True)
class BaselineForecast:
    """A named forecast of the windows of a span."""

    name: str
    title: str
    displacement: Displacements


def baseline_forecasts(
    dataset: MarketDataset, span: Span, settings: EvaluationSettings
) -> tuple[BaselineForecast, ...]:
    """All baselines for the windows of ``span``; fitted, where they are, on train windows only."""
    prices = dataset.log_prices
    rows = np.arange(span.first, span.stop)
    horizon = dataset.window.pred_len
    anchor = prices[rows, CLOSE]
    shape = (len(rows), horizon, len(TARGETS))
    own = np.broadcast_to((prices[rows] - anchor[:, None])[:, None], shape)
    walk = dataset.walk.displacement(range_scale(prices, dataset.scale_rows)[rows])
    return (
        BaselineForecast("last_close", "last Close", np.zeros(shape)),
        BaselineForecast("own_last", "each its own last value", own),
        BaselineForecast("drift", "drift", _drift(prices, rows, dataset.window.seq_len, horizon) + own),
        BaselineForecast(
            "seasonal_naive",
            f"seasonal naive ({settings.seasonal_period} days)",
            _seasonal(prices, rows, settings.seasonal_period, horizon) - anchor[:, None, None],
        ),
        BaselineForecast("structured_walk", "structured random walk", walk),
        BaselineForecast("ridge", "ridge regression", _ridge(dataset, rows, settings.ridge_penalty)),
    )


def _drift(prices: NDArray[np.float64], rows: NDArray[np.int64], seq_len: int, horizon: int) -> Displacements:
    """[n, P, 1] the mean daily move of Close over the window, carried on."""
    slope = (prices[rows, CLOSE] - prices[rows - seq_len + 1, CLOSE]) / (seq_len - 1)
    return (slope[:, None] * np.arange(1, horizon + 1))[..., None]


def _seasonal(
    prices: NDArray[np.float64], rows: NDArray[np.int64], period: int, horizon: int
) -> NDArray[np.float64]:
    """[n, P, T] the log prices of the last known day at the same place in the period."""
    back = period - 1 - np.arange(horizon) % period
    return prices[rows[:, None] - back]


def _ridge(dataset: MarketDataset, rows: NDArray[np.int64], penalty: float) -> Displacements:
    """Closed-form ridge from the last known displacements to the target displacements.

    Inputs are Open, High, Low, Close of the last rows relative to the anchor, both sides in units of
    the window's scale, plus 1 / scale; the intercept is not penalised.
    """
    train = np.arange(dataset.splits.train.first, dataset.splits.train.stop)
    scale = range_scale(dataset.log_prices, dataset.scale_rows)
    y = displacements(dataset.log_prices, dataset.splits.train, dataset.window.pred_len)
    y = y.reshape(len(train), -1) / scale[train, None]
    # The first train window may know fewer rows than the last ones; all are read alike.
    known = min(_RIDGE_ROWS, int(train[0]) + 1)
    x = _ridge_inputs(dataset.log_prices, train, scale, known)
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1.0
    z = (x - mean) / std
    gram = z.T @ z + penalty * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, z.T @ (y - y.mean(axis=0)))
    scaled = (_ridge_inputs(dataset.log_prices, rows, scale, known) - mean) / std @ weights + y.mean(axis=0)
    return (scaled * scale[rows, None]).reshape(len(rows), dataset.window.pred_len, len(TARGETS))


def _ridge_inputs(
    prices: NDArray[np.float64], rows: NDArray[np.int64], scale: NDArray[np.float64], known: int
) -> NDArray[np.float64]:
    recent = prices[rows[:, None] + np.arange(1 - known, 1)] - prices[rows, CLOSE][:, None, None]
    # The last Close is the anchor itself: always 0.
    flat = recent.reshape(len(rows), -1)[:, :-1] / scale[rows, None]
    return np.concatenate([flat, 1 / scale[rows, None]], axis=1)
