"""The structured random walk: the forecast to beat, and where every head of the model starts from.

    log price(t + h, k) − anchor  ≈  s · D(t, h) + G(t, h, k)

The drift D is what least squares on the train windows say of Close, per step h, from the ranges of the last day, week
and month (``data/har.py``): of a span that rose it says that prices rise. The share s that is kept of it comes from
rolling origins in train and validation; it is 0 where they don't speak for a drift.

The candle G is what they say of Open, High, Low less Close: High lies above Close, by an amount that the ranges tell.
It has three variants, of which validation chooses: ``har`` has a constant and those three ranges, ``range`` a constant
and the window's scale, ``geometry`` the scale alone.

All of it is linear in the scale and the ranges R of a window: a[h, k] + b[h, k] · scale + Σ_i c_i[h, k] · R_i.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from model_core.axes import CLOSE, HIGH, LOW
from model_core.data.har import mean_ranges
from model_core.data.splits import Span, Splits
from model_core.results.dataset import Variant

Values = NDArray[np.float64]

MIN_SCALE = 1e-4
"""Smallest scale (1 bp): a market that does not move at all must not divide by zero."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)

ROLLING_BLOCKS = 8
"""Stretches of time that the share of the drift is judged on, each forecast from what lies before it."""
FIRST_FIT = 0.4
"""Share of the train and validation windows that lies before the first of those stretches."""
SHARES = np.linspace(0, 1, 21)
"""Shares s of the drift that are tried."""


@dataclass(frozen=True)
class StructuredWalk:
    """Displacement in log price = a + b · scale + Σ_i c_i · range_i."""

    a: Values
    b: Values
    """Both [P, T]."""
    c: Values
    """[ranges, P, T]"""
    days: tuple[int, ...]
    """Rows that each of the ranges is a mean of."""
    variant: Variant
    drift_share: float
    """How much of the drift of the train span is left: s."""
    validation_mae: dict[str, float]
    """Mean absolute error in log price of every variant on the validation windows."""

    def displacement(self, scale: Values, ranges: Values) -> Values:
        """[n, P, T] log price − anchor of windows with these scales [n] and ranges [n, ranges]."""
        return self.a + self.b * scale[:, None, None] + np.tensordot(ranges, self.c, axes=1)

    def with_drift_of(self, other: Self, share: float) -> Self:
        """The candle of this walk about ``share`` of the Close of another one."""
        return replace(
            self,
            a=self.a - self.a[..., CLOSE:] + share * other.a[..., CLOSE:],
            b=self.b - self.b[..., CLOSE:] + share * other.b[..., CLOSE:],
            c=self.c - self.c[..., CLOSE:] + share * other.c[..., CLOSE:],
            drift_share=share,
        )

    def to_json(self) -> dict[str, object]:
        """As it stands in ``scaler.json``."""
        return {
            "a": self.a.tolist(),
            "b": self.b.tolist(),
            "c": self.c.tolist(),
            "days": list(self.days),
            "variant": self.variant,
            "drift_share": self.drift_share,
            "validation_mae": self.validation_mae,
        }

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Self:
        """The inverse of ``to_json``."""
        return cls(
            np.asarray(value["a"], dtype=np.float64),
            np.asarray(value["b"], dtype=np.float64),
            np.asarray(value["c"], dtype=np.float64),
            tuple(value["days"]),  # type: ignore[arg-type]
            value["variant"],  # type: ignore[arg-type]
            value["drift_share"],  # type: ignore[arg-type]
            value["validation_mae"],  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class KnownRanges:
    """Log prices [R, T] and what walks are fitted to: the scale [R] and the ranges [R, ranges] that each row knows."""

    log_prices: Values
    scale: Values
    ranges: Values
    days: tuple[int, ...]

    @classmethod
    def of(cls, log_prices: Values, scale_rows: int, days: tuple[int, ...]) -> Self:
        """Scale over ``scale_rows`` rows and ranges over ``days``; NaN in rows that have too few before them."""
        return cls(log_prices, range_scale(log_prices, scale_rows), mean_ranges(log_prices, days), days)

    def displacement(self, walk: StructuredWalk, span: Span) -> Values:
        """[n, P, T] what ``walk`` forecasts for the windows of a span."""
        rows = slice(span.first, span.stop)
        return walk.displacement(self.scale[rows], self.ranges[rows])


def range_scale(log_prices: Values, scale_rows: int) -> Values:
    """[R] mean log High − log Low of the last ``scale_rows`` rows, at least ``MIN_SCALE``.

    The first ``scale_rows`` − 1 rows, which no window uses as its anchor, are NaN.
    """
    ranges = log_prices[:, HIGH] - log_prices[:, LOW]
    means = sliding_window_view(ranges, scale_rows).mean(axis=-1)
    lead = np.full(scale_rows - 1, np.nan)
    return np.concatenate([lead, np.maximum(means, MIN_SCALE)])


def displacements(log_prices: Values, span: Span, pred_len: int) -> Values:
    """[n, P, T] log price − anchor of the windows of a span."""
    rows = np.arange(span.first, span.stop)
    targets = log_prices[rows[:, None] + np.arange(1, pred_len + 1)]
    return targets - log_prices[rows, CLOSE][:, None, None]


def fit_structured_walk(known: KnownRanges, splits: Splits, pred_len: int) -> StructuredWalk:
    """Fit every variant on the train windows and keep the one that is best on validation."""
    walks = fit_variants(known, splits, pred_len)
    return min(walks.values(), key=lambda walk: walk.validation_mae[walk.variant])


def fit_variants(known: KnownRanges, splits: Splits, pred_len: int) -> dict[Variant, StructuredWalk]:
    """All variants about the same drift, fitted on the train windows; each knows the validation errors of all."""
    plain = {name: least_squares_walk(known, splits.train, pred_len, name) for name in VARIANTS}
    share = drift_share(known, splits, pred_len)
    walks = {name: walk.with_drift_of(plain["har"], share) for name, walk in plain.items()}
    held_out = displacements(known.log_prices, splits.validation, pred_len)
    mae: dict[str, float] = {
        name: float(np.abs(known.displacement(walk, splits.validation) - held_out).mean())
        for name, walk in walks.items()
    }
    return {name: replace(walk, validation_mae=mae) for name, walk in walks.items()}


def least_squares_walk(known: KnownRanges, span: Span, pred_len: int, variant: Variant) -> StructuredWalk:
    """Least squares on the windows of ``span``: a candle of that variant, and Close by the same terms, as they are."""
    rows = slice(span.first, span.stop)
    columns = [np.ones((len(span), 1)), known.scale[rows, None], known.ranges[rows]]
    design = np.concatenate(columns, axis=1)
    used = {"har": [0, *range(2, design.shape[1])], "range": [0, 1], "geometry": [1]}[variant]
    y = displacements(known.log_prices, span, pred_len)
    fitted = np.zeros((design.shape[1], *y.shape[1:]))
    fitted[used] = np.linalg.lstsq(design[:, used], y.reshape(len(y), -1), rcond=None)[0].reshape(
        -1, *y.shape[1:]
    )
    return StructuredWalk(
        fitted[0], fitted[1], fitted[2:], known.days, variant, drift_share=1.0, validation_mae={}
    )


def drift_share(known: KnownRanges, splits: Splits, pred_len: int) -> float:
    """How much of the drift is worth keeping: s in [0, 1], by rolling origins in train and validation.

    The later part of the windows is cut into ``ROLLING_BLOCKS`` blocks. Each is forecast by a walk that was fitted on
    all windows whose targets end before it, with every share of the drift; its squared errors of Close are taken in
    units of those of the last Close, so that a wild block counts like a calm one. Of the shares that are not worse than
    the best one by more than a standard error of that difference over the blocks, the smallest is taken: 0 if blocks
    are shorter than the horizon, or if Close doesn't move in one of them.
    """
    losses = []
    for before, block in rolling_blocks(Span(splits.train.first, splits.validation.stop), pred_len):
        walk = least_squares_walk(known, before, pred_len, "har")
        drift = known.displacement(walk, block)[..., CLOSE]
        true = displacements(known.log_prices, block, pred_len)[..., CLOSE]
        unit = np.square(true).mean()
        if unit == 0:
            return 0.0
        losses.append([np.square(share * drift - true).mean() / unit for share in SHARES])
    return smallest_share(np.array(losses), SHARES) if losses else 0.0


def smallest_share(losses: Values, shares: Values) -> float:
    """The smallest share that is not worse than the best one by more than a standard error of their difference.

    Args:
        losses: [blocks, shares] mean loss of each block with each share; at least two blocks.
    """
    excess = losses - losses[:, [np.argmin(losses.mean(axis=0))]]
    error = excess.std(axis=0, ddof=1) / np.sqrt(len(excess))
    return float(shares[np.argmax(excess.mean(axis=0) <= error)])


def rolling_blocks(windows: Span, pred_len: int) -> list[tuple[Span, Span]]:
    """Blocks of ``windows``, each behind those whose targets end at its first anchor; none if they would be short."""
    edges = windows.first + np.linspace(FIRST_FIT, 1, ROLLING_BLOCKS + 1) * len(windows)
    rows = edges.astype(int)
    if np.diff(rows).min() < pred_len:
        return []
    return [
        (Span(windows.first, int(first) + 1 - pred_len), Span(int(first), int(stop)))
        for first, stop in pairwise(rows)
    ]
