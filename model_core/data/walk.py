"""The structured random walk: the forecast to beat, and where every head of the model starts from.

    log price(t + h, k) − anchor  ≈  a[h, k] + b[h, k] · scale(t)

a and b come from least squares on the train windows, per step h and target k; ``geometry`` fixes
a = 0. Its gain over the last Close is the shape of a candle (High lies above Close), not foresight.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from model_core.axes import CLOSE, HIGH, LOW
from model_core.data.splits import Span, Splits

MIN_SCALE = 1e-4
"""Smallest scale (1 bp): a market that does not move at all must not divide by zero."""

Variant = Literal["drift", "geometry"]


@dataclass(frozen=True)
class StructuredWalk:
    """Displacement in log price = a + b · scale; ``a`` and ``b`` are [P, T]."""

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    variant: Variant
    validation_mae: dict[str, float]
    """Mean absolute error in log price of both variants on the validation windows."""

    def displacement(self, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n, P, T] log price − anchor of windows with these scales [n]."""
        return self.a + self.b * scale[:, None, None]

    def to_json(self) -> dict[str, object]:
        """As it stands in ``scaler.json``."""
        return {
            "a": self.a.tolist(),
            "b": self.b.tolist(),
            "variant": self.variant,
            "validation_mae": self.validation_mae,
        }

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Self:
        """The inverse of ``to_json``."""
        return cls(
            np.asarray(value["a"], dtype=np.float64),
            np.asarray(value["b"], dtype=np.float64),
            value["variant"],  # type: ignore[arg-type]
            value["validation_mae"],  # type: ignore[arg-type]
        )


def range_scale(log_prices: NDArray[np.float64], scale_rows: int) -> NDArray[np.float64]:
    """[R] mean log High − log Low of the last ``scale_rows`` rows, at least ``MIN_SCALE``.

    The first ``scale_rows`` − 1 rows, which no window uses as its anchor, are NaN.
    """
    ranges = log_prices[:, HIGH] - log_prices[:, LOW]
    means = sliding_window_view(ranges, scale_rows).mean(axis=-1)
    lead = np.full(scale_rows - 1, np.nan)
    return np.concatenate([lead, np.maximum(means, MIN_SCALE)])


def displacements(log_prices: NDArray[np.float64], span: Span, pred_len: int) -> NDArray[np.float64]:
    """[n, P, T] log price − anchor of the windows of a span."""
    rows = np.arange(span.first, span.stop)
    targets = log_prices[rows[:, None] + np.arange(1, pred_len + 1)]
    return targets - log_prices[rows, CLOSE][:, None, None]


def fit_structured_walk(
    log_prices: NDArray[np.float64], splits: Splits, pred_len: int, scale_rows: int
) -> StructuredWalk:
    """Fit both variants on the train windows and keep the one that is better on validation.

    Args:
        log_prices: [R, T] log Open, High, Low, Close.
    """
    walks = fit_variants(log_prices, splits, pred_len, scale_rows)
    mae = walks["drift"].validation_mae
    return walks["drift" if mae["drift"] <= mae["geometry"] else "geometry"]


def fit_variants(
    log_prices: NDArray[np.float64], splits: Splits, pred_len: int, scale_rows: int
) -> dict[Variant, StructuredWalk]:
    """Both variants, fitted on the train windows; each knows the validation errors of both."""
    scale = range_scale(log_prices, scale_rows)
    x = scale[splits.train.first : splits.train.stop]
    y = displacements(log_prices, splits.train, pred_len)
    shape = y.shape[1:]
    y = y.reshape(len(x), -1)

    design = np.stack([np.ones_like(x), x], axis=1)
    (drift_a, drift_b), *_ = np.linalg.lstsq(design, y, rcond=None)
    geometry_b = x @ y / (x @ x)

    held_out_scale = scale[splits.validation.first : splits.validation.stop]
    held_out = displacements(log_prices, splits.validation, pred_len)
    coefficients: dict[Variant, tuple[NDArray[np.float64], NDArray[np.float64]]] = {
        "drift": (drift_a.reshape(shape), drift_b.reshape(shape)),
        "geometry": (np.zeros(shape), geometry_b.reshape(shape)),
    }
    mae: dict[str, float] = {
        name: float(np.abs(a + b * held_out_scale[:, None, None] - held_out).mean())
        for name, (a, b) in coefficients.items()
    }
    return {
        name: StructuredWalk(a, b, variant=name, validation_mae=mae) for name, (a, b) in coefficients.items()
    }
