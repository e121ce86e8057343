"""Trivial forecasts on the very windows that the model is scored on: cheap, deterministic, hard to beat.

All forecasts are displacements, log price − anchor, as [n, P, T].
"""

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.splits import Span
from model_core.data.walk import displacements, fit_variants, least_squares_walk, range_scale
from model_core.errors import SettingsError
from model_core.results.dataset import Variant

Displacements = NDArray[np.float64]
_VARIANT_TITLE: dict[Variant, str] = {
    "har": "structured random walk from the ranges of a day, week and month",
    "range": "structured random walk from the recent range",
    "geometry": "structured random walk from the recent range alone",
}
_RIDGE_ROWS = (1, 5, 20)
"""Known rows that the ridge regression may look at; validation chooses."""


@dataclass(frozen=True)
class BaselineForecast:
    """A named forecast of the windows of a span."""

    name: str
    title: str
    displacement: Displacements


def baseline_forecasts(
    dataset: MarketDataset, span: Span, settings: EvaluationSettings
) -> tuple[BaselineForecast, ...]:
    """All baselines for the windows of ``span``; fitted, where they are, on train windows only.

    ``structured_walk`` is the variant that was best on validation; the others stand beside it. Their drift is shrunk;
    ``har_walk`` keeps all of it.

    Raises:
        SettingsError: the season is longer than what lies before the first window's target days.
    """
    prices = dataset.log_prices
    rows = np.arange(span.first, span.stop)
    if settings.seasonal_period > span.first + 1:
        raise SettingsError(
            f"evaluation.seasonal_period is {settings.seasonal_period}, but only {span.first + 1} rows are known "
            "before the first forecast; make it smaller",
            keys=["evaluation.seasonal_period"],
        )
    horizon = dataset.window.pred_len
    anchor = prices[rows, CLOSE]
    shape = (len(rows), horizon, len(TARGETS))
    own = np.broadcast_to((prices[rows] - anchor[:, None])[:, None], shape)
    known = dataset.known_ranges
    walk = known.displacement(dataset.walk, span)
    har_walk = known.displacement(least_squares_walk(known, dataset.splits.train, horizon, "har"), span)
    ridge = _ridge(dataset, rows, settings.ridge_penalty)
    others = fit_variants(known, dataset.splits, horizon)
    del others[dataset.walk.variant]
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
        *(
            BaselineForecast(f"structured_walk_{name}", _VARIANT_TITLE[name], known.displacement(other, span))
            for name, other in others.items()
        ),
        BaselineForecast("har_walk", "HAR walk with the whole drift", har_walk),
        BaselineForecast("ridge", "ridge regression", ridge),
        BaselineForecast("combination", "mean of walk, HAR walk and ridge", (walk + har_walk + ridge) / 3),
    )


def _drift(prices: NDArray[np.float64], rows: NDArray[np.int64], seq_len: int, horizon: int) -> Displacements:
    """[n, P, 1] the mean daily move of Close over the window, carried on."""
    slope = (prices[rows, CLOSE] - prices[rows - seq_len + 1, CLOSE]) / (seq_len - 1)
    return (slope[:, None] * np.arange(1, horizon + 1))[..., None]


def _seasonal(
    prices: NDArray[np.float64], rows: NDArray[np.int64], period: int, horizon: int
) -> NDArray[np.float64]:
    """[n, P, T] the log prices of the last known day in the same phase of the period."""
    back = period - 1 - np.arange(horizon) % period
    return prices[rows[:, None] - back]


def _ridge(dataset: MarketDataset, rows: NDArray[np.int64], penalty: float) -> Displacements:
    """Closed-form ridge from the last known displacements to the target displacements.

    How many rows it looks at, and whether both sides are in units of the window's scale, is chosen by the
    squared error on validation. The intercept is not penalized.
    """
    validation = np.arange(dataset.splits.validation.first, dataset.splits.validation.stop)
    held_out = displacements(dataset.log_prices, dataset.splits.validation, dataset.window.pred_len)
    fits = [
        _RidgeFit.on_train(dataset, known, penalty, in_ranges=in_ranges)
        for known, in_ranges in product(_RIDGE_ROWS, (True, False))
        if known <= dataset.splits.train.first + 1
    ]
    best = min(fits, key=lambda fit: float(np.square(fit.forecast(dataset, validation) - held_out).mean()))
    return best.forecast(dataset, rows)


@dataclass(frozen=True)
class _RidgeFit:
    """A fitted ridge regression on the last ``known`` rows."""

    known: int
    in_ranges: bool
    """Both sides in units of the window's scale, with 1 / scale as an input; otherwise the scale is one."""
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]

    @classmethod
    def on_train(cls, dataset: MarketDataset, known: int, penalty: float, *, in_ranges: bool) -> Self:
        span = dataset.splits.train
        rows = np.arange(span.first, span.stop)
        x, unit = _ridge_inputs(dataset, rows, known, in_ranges=in_ranges)
        y = displacements(dataset.log_prices, span, dataset.window.pred_len).reshape(len(rows), -1) / unit
        mean, std = x.mean(axis=0), x.std(axis=0)
        # An input that does not move has a deviation of a few last bits, or none.
        std[std <= 1e-12 * np.abs(x).max(axis=0)] = 1.0
        z, intercept = (x - mean) / std, y.mean(axis=0)
        gram = z.T @ z + penalty * np.eye(z.shape[1])
        return cls(known, in_ranges, mean, std, np.linalg.lstsq(gram, z.T @ (y - intercept))[0], intercept)

    def forecast(self, dataset: MarketDataset, rows: NDArray[np.int64]) -> Displacements:
        x, unit = _ridge_inputs(dataset, rows, self.known, in_ranges=self.in_ranges)
        y = ((x - self.mean) / self.std @ self.weights + self.intercept) * unit
        return y.reshape(len(rows), dataset.window.pred_len, len(TARGETS))


def _ridge_inputs(
    dataset: MarketDataset, rows: NDArray[np.int64], known: int, *, in_ranges: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n, 4 known] last displacements and the scale; [n, 1] the unit of both sides."""
    prices = dataset.log_prices
    scale = range_scale(prices, dataset.scale_rows)[rows, None]
    recent = prices[rows[:, None] + np.arange(1 - known, 1)] - prices[rows, CLOSE][:, None, None]
    # The last Close is the anchor itself: always 0.
    flat = recent.reshape(len(rows), -1)[:, :-1]
    if in_ranges:
        return np.concatenate([flat / scale, 1 / scale], axis=1), scale
    return np.concatenate([flat, scale], axis=1), np.ones_like(scale)
