"""The ranges of the last day, week and month, and how wide the days ahead are because of them.

    R_d(t)     = mean log High − log Low of the last d rows, d = 1, 5, 22           (Corsi, 2009: HAR)
    σ(t, h, k) = c₀[h, k] + c₁[h, k] · R_1(t) + c₂[h, k] · R_5(t) + c₃[h, k] · R_22(t)      all c ≥ 0

for step h and target k, in log price. The coefficients are the most likely ones if what the structured walk leaves
unexplained on the train windows is normal with mean 0 and this deviation. None is negative, so that σ is above 0
whatever the ranges of a later day are. NumPy only: the step that fits them has no SciPy.
"""

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from model_core.axes import HIGH, LOW

Values = NDArray[np.float64]

HAR_DAYS = (1, 5, 22)
"""A day, a trading week, a trading month."""
MIN_SIGMA = 1e-8
"""Smallest σ in log price: a market that never moved has no width, and a density needs one."""
_ITERATIONS = 100
_HALVINGS = 30
_ENOUGH = 1e-9
"""Nats of likelihood a value: a step that gains less, rounding included, is the last one."""


def har_days(seq_len: int) -> tuple[int, ...]:
    """The rows that ranges are averaged over, none of them beyond a window of ``seq_len`` known rows.

    A window shorter than a month has its own length in the month's place, since the model computes the ranges from
    the rows that it sees.
    """
    return tuple(min(days, seq_len) for days in HAR_DAYS)


def mean_ranges(log_prices: Values, days: tuple[int, ...]) -> Values:
    """[R, ranges] mean log High − log Low of the last ``days[i]`` rows; NaN in rows with fewer rows before them."""
    ranges = log_prices[:, HIGH] - log_prices[:, LOW]
    result = np.full((len(ranges), len(days)), np.nan)
    for column, count in enumerate(days):
        if count <= len(ranges):
            result[count - 1 :, column] = sliding_window_view(ranges, count).mean(axis=-1)
    return result


@dataclass(frozen=True)
class HarScale:
    """Standard deviation of a step and target from the ranges; ``coefficients`` are [1 + ranges, P, T]."""

    coefficients: Values
    """The constant, then one for each of the ranges."""
    days: tuple[int, ...]

    def sigma(self, ranges: Values) -> Values:
        """[n, P, T] in log price, of windows with these ranges [n, ranges]."""
        return self.coefficients[0] + np.tensordot(ranges, self.coefficients[1:], axes=1)

    def to_json(self) -> dict[str, object]:
        """As it stands in ``scaler.json``."""
        return {"coefficients": self.coefficients.tolist(), "days": list(self.days)}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Self:
        """The inverse of ``to_json``."""
        return cls(np.asarray(value["coefficients"], dtype=np.float64), tuple(value["days"]))  # type: ignore[arg-type]


def fit_har_scale(ranges: Values, residuals: Values, days: tuple[int, ...]) -> HarScale:
    """The most likely scale of ``residuals`` [n, P, T] in windows with these ``ranges`` [n, ranges].

    Fisher's scoring for every step and target at once. The expected information of the coefficients is
    2 Σ x xᵀ / σ², the score Σ (e² − σ²) / σ³ · x; each step minimizes that quadratic model within the bounds, and is
    halved for as long as it makes the residuals less likely.
    """
    design = np.concatenate([np.ones((len(ranges), 1)), ranges], axis=1)
    # In units of its mean each column counts alike; one that is 0 throughout tells nothing in any unit.
    unit = np.where(design.mean(axis=0) > 0, design.mean(axis=0), 1.0)
    x = design / unit
    errors = residuals.reshape(len(residuals), -1)
    size = np.maximum(np.sqrt(np.square(errors).mean(axis=0)), MIN_SIGMA)
    squares = np.square(errors / size)

    lower = np.zeros((x.shape[1], len(size)))
    lower[0] = MIN_SIGMA / size
    coefficients = np.maximum(np.full_like(lower, 1 / x.shape[1]), lower)
    cells = np.arange(len(size))
    for _ in range(_ITERATIONS):
        before = coefficients[:, cells]
        after = _scoring_step(x, squares[:, cells], before, lower[:, cells])
        gain = _surprise(x, squares[:, cells], before) - _surprise(x, squares[:, cells], after)
        coefficients[:, cells] = after
        cells = cells[gain > _ENOUGH]
        if not cells.size:
            break
    scaled = coefficients * size / unit[:, None]
    return HarScale(scaled.reshape(-1, *residuals.shape[1:]), days)


def _surprise(x: Values, squares: Values, coefficients: Values) -> Values:
    """[C] mean negative log-likelihood of every cell, up to a constant."""
    sigma = x @ coefficients
    return (np.log(sigma) + squares / (2 * sigma**2)).mean(axis=0)


def _scoring_step(x: Values, squares: Values, coefficients: Values, lower: Values) -> Values:
    """[K, C] coefficients after one step of Fisher's scoring; cells that it would not help stay as they are."""
    sigma = x @ coefficients
    score = x.T @ (squares / sigma**3 - 1 / sigma)
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    information = (2 * (1 / sigma**2).T @ products).reshape(-1, x.shape[1], x.shape[1])
    step = _bounded_minimum(information, score, coefficients, lower) - coefficients
    before = _surprise(x, squares, coefficients)
    for _ in range(_HALVINGS):
        worse = _surprise(x, squares, coefficients + step) > before + _ENOUGH / 10
        if not worse.any():
            return coefficients + step
        step = np.where(worse, step / 2, step)
    return coefficients + np.where(worse, 0.0, step)


def _bounded_minimum(information: Values, score: Values, start: Values, lower: Values) -> Values:
    """[K, C] argmin ½ dᵀ I d − scoreᵀ d with d = c − start and c ≥ lower.

    Exact: of all choices of coefficients that rest on their bound (16 for a constant and three ranges), the best one
    that keeps the bounds.

    Args:
        information: [C, K, K], positive semidefinite; score, start, lower: [K, C].
    """
    terms, cells = start.shape
    best, found = np.full(cells, np.inf), start.copy()
    for resting in product((False, True), repeat=terms):
        free = np.flatnonzero(~np.array(resting))
        moves = lower - start
        if free.size:
            pull = score - np.einsum(
                "cij,jc->ic", information, np.where(np.isin(range(terms), free)[:, None], 0, moves)
            )
            inner = information[:, free[:, None], free]
            moves[free] = np.einsum("cij,jc->ic", np.linalg.pinv(inner, hermitian=True), pull[free])
        value = 0.5 * np.einsum("ic,cij,jc->c", moves, information, moves) - (score * moves).sum(axis=0)
        better = (start + moves >= lower - 1e-12).all(axis=0) & (value < best)
        best = np.where(better, value, best)
        found = np.where(better, np.maximum(start + moves, lower), found)
    return found
