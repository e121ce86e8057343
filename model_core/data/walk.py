"""The structured random walk: the forecast to beat, and where every head of the model starts from.

    log price(t + h, k) − anchor  ≈  s · D(t, h) + G(t, h, k)

The drift D is a least-squares forecast of Close, for each step h, from the mean ranges of the last day, week and month
(``data/har.py``). Fitted on train windows in which prices rose, it forecasts that they rise. So only a share s of it
is kept, as much as forecasts from rolling origins in train and validation make believable (``expected_share``).

The candle G is the same fit to Open, High and Low less Close: High lies above Close, by an amount that the ranges
predict. It has three variants, of which validation chooses one: ``har`` has a constant and those three ranges,
``range`` a constant and the window's scale, ``geometry`` the scale alone. They differ in the candle only, so they are
judged by its error: which way Close went in that one span says nothing about candles.

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
SHARES = (np.arange(1000) + 0.5) / 1000
"""Shares s of the drift at which the posterior is computed: the middles of a thousand equal parts of [0, 1]."""


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
    validation_candle_rmse: dict[str, float]
    """Root mean squared error of Open, High and Low less Close there, by which the variant is chosen; empty in walks
    of earlier code, which chose it by ``validation_mae``."""

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
            "validation_candle_rmse": self.validation_candle_rmse,
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
            value.get("validation_candle_rmse") or {},  # type: ignore[arg-type]
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
    """Fit every variant on the train windows and keep the one whose candle is best on validation."""
    walks = fit_variants(known, splits, pred_len)
    return min(walks.values(), key=lambda walk: walk.validation_candle_rmse[walk.variant])


def fit_variants(known: KnownRanges, splits: Splits, pred_len: int) -> dict[Variant, StructuredWalk]:
    """All variants about the same drift, fitted on the train windows; each knows the validation errors of all."""
    plain = {name: least_squares_walk(known, splits.train, pred_len, name) for name in VARIANTS}
    share = drift_share(known, splits, pred_len)
    walks = {name: walk.with_drift_of(plain["har"], share) for name, walk in plain.items()}
    held_out = displacements(known.log_prices, splits.validation, pred_len)
    errors = {name: known.displacement(walk, splits.validation) - held_out for name, walk in walks.items()}
    mae: dict[str, float] = {name: float(np.abs(error).mean()) for name, error in errors.items()}
    rmse: dict[str, float] = {
        name: float(np.sqrt(np.square(error[..., :CLOSE] - error[..., CLOSE:]).mean()))
        for name, error in errors.items()
    }
    return {
        name: replace(walk, validation_mae=mae, validation_candle_rmse=rmse) for name, walk in walks.items()
    }


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
        fitted[0],
        fitted[1],
        fitted[2:],
        known.days,
        variant,
        drift_share=1.0,
        validation_mae={},
        validation_candle_rmse={},
    )


def drift_share(known: KnownRanges, splits: Splits, pred_len: int) -> float:
    """The share s of the drift to keep, in [0, 1], from rolling origins in train and validation.

    0 if blocks would be shorter than the horizon, or if Close doesn't move in one of them.

    Args:
        pred_len: length of the horizon in rows.
    """
    moments = drift_moments(known, Span(splits.train.first, splits.validation.stop), pred_len)
    return 0.0 if moments is None else expected_share(*moments)


def drift_moments(known: KnownRanges, windows: Span, pred_len: int) -> tuple[Values, Values] | None:
    """How far the drift agreed with what came, and how large it was, in rolling blocks of ``windows``.

    Close in each block is forecast by a walk that was fitted on all windows whose targets end before it. Both moments
    are in units of the block's mean squared move, so that a wild block counts like a calm one.

    Returns:
        Agreement, mean(drift · move) / mean(move²), and size, mean(drift²) / mean(move²), each [blocks]; None if
        blocks would be shorter than the horizon, or if Close doesn't move in one of them.
    """
    agreement, size = [], []
    for before, block in rolling_blocks(windows, pred_len):
        walk = least_squares_walk(known, before, pred_len, "har")
        drift = known.displacement(walk, block)[..., CLOSE]
        true = displacements(known.log_prices, block, pred_len)[..., CLOSE]
        unit = np.square(true).mean()
        if unit == 0:
            return None
        agreement.append((drift * true).mean() / unit)
        size.append(np.square(drift).mean() / unit)
    return (np.array(agreement), np.array(size)) if agreement else None


def expected_share(agreement: Values, size: Values) -> float:
    """The posterior mean of the share s of the drift, from a uniform prior on [0, 1].

    In units of a block's mean squared move, its squared error with the share s is 1 − 2 s · agreement + s² · size, so
    ŝ = Σ agreement / Σ size is best for all blocks together. The variance of ŝ comes from how the blocks scatter about
    it, as for a ratio of means, with the factor of Student's t, since they are few. The posterior is the normal
    distribution about ŝ, truncated to [0, 1]; the tails of t itself are so flat far from ŝ that they would keep
    much of a drift that every block contradicts. The loss is quadratic, so the mean is returned and not the best share
    itself; where the blocks tell little, it stays near a half.

    Args:
        agreement: [blocks] as ``drift_moments`` gives them; more than three.
        size: [blocks]
    """
    if not size.sum() > 0:
        return 0.0
    count = len(size)
    # As parts of the whole size, neither of which has a square that is too small or too large for a number.
    agreement, size = agreement / size.sum(), size / size.sum()
    best = agreement.sum()
    scatter = agreement - best * size
    variance = count / (count - 1) * np.square(scatter).sum()
    if variance == 0:
        return float(np.clip(best, 0, 1))
    variance *= (count - 1) / (count - 3)
    # In logarithms and relative to the largest: far from ŝ every density would be 0.
    log_density = -np.square(SHARES - best) / (2 * variance)
    return float(np.average(SHARES, weights=np.exp(log_density - log_density.max())))


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
