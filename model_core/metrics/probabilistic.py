"""Mixtures of normals as forecasts: distribution, density, quantiles and CRPS in closed form. NumPy only.

F(y)    = Σ_m w_m Φ((y − μ_m) / σ_m)                    its value at the truth is the PIT
F⁻¹(p)  by Newton's steps, halving instead where one leaves the bracket of the component quantiles
CRPS    = Σ_m w_m A(y − μ_m, σ_m) − ½ Σ_mk w_m w_k A(μ_m − μ_k, √(σ_m² + σ_k²)),
          A(d, s) = 2 s φ(d / s) + d (2 Φ(d / s) − 1)    (Grimit et al., 2006)
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, ndtr, ndtri

Values = NDArray[np.float64]

EWMA_DECAY = 0.94
"""RiskMetrics' daily decay (J.P. Morgan, RiskMetrics Technical Document, 1996)."""
FIRST_DAY_SHARE = (0.3, 0.36, 0.36, 1.0)
"""Variance of Open, High, Low, Close about the Close before, in units of one day's Close variance.

Close by definition; High and Low as the extremes of a Brownian motion over a day, 1 − 2/π; Open, the
overnight move, is about a third of a stock index's day.
"""
_STEPS_AT_MOST = 100
_ROUNDING = 4 * np.finfo(np.float64).eps
_SQRT_2PI = np.sqrt(2 * np.pi)
_LOG_SQRT_2PI = np.log(_SQRT_2PI)
NO_WIDTH = 1e-12
"""Standard deviation, in log price, of a market that never moved: a distribution without width has no density."""


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of M normals for every element of an array; all fields [..., M], float64."""

    weight: Values
    """Sums to 1 over the last axis."""
    mean: Values
    std: Values

    @classmethod
    def from_head(cls, logits: Values, mean: Values, log_scale: Values) -> Self:
        """Marginals [..., P, T] of a mixture head, whose components span the targets.

        Args:
            logits: [..., P, M]; mean, log_scale: [..., P, M, T].
        """
        mean = np.swapaxes(np.asarray(mean, dtype=np.float64), -1, -2)
        std = np.exp(np.swapaxes(np.asarray(log_scale, dtype=np.float64), -1, -2))
        weight = np.exp(log_softmax(np.asarray(logits, dtype=np.float64), axis=-1))
        return cls(np.broadcast_to(weight[..., None, :], mean.shape), mean, std)

    def scaled(self, unit: Values) -> Self:
        """The same forecast in another unit: every value times ``unit`` [...]."""
        unit = unit[..., None]
        return type(self)(self.weight, self.mean * unit, self.std * unit)

    def expectation(self) -> Values:
        """[...] Σ_m w_m μ_m."""
        return (self.weight * self.mean).sum(-1)

    def deviation(self) -> Values:
        """[...] standard deviation of the mixture."""
        apart = self.mean - self.expectation()[..., None]
        return np.sqrt((self.weight * (self.std**2 + apart**2)).sum(-1))

    def cdf(self, value: Values) -> Values:
        """[...] probability of at most ``value`` [...]."""
        return (self.weight * ndtr((value[..., None] - self.mean) / self.std)).sum(-1)

    def quantile(self, probability: float) -> Values:
        """[...] the value that is not exceeded with ``probability``, to the last bits of float64.

        Raises:
            ValueError: ``probability`` is not between 0 and 1.
        """
        if not 0 < probability < 1:
            raise ValueError(f"probability is {probability}; a quantile needs one between 0 and 1")
        component = self.mean + self.std * ndtri(probability)
        low, high = component.min(-1), component.max(-1)
        value = (self.weight * component).sum(-1)
        for _ in range(_STEPS_AT_MOST):
            z = (value[..., None] - self.mean) / self.std
            excess = (self.weight * ndtr(z)).sum(-1) - probability
            density = (self.weight * np.exp(-0.5 * z**2) / self.std).sum(-1) / _SQRT_2PI
            low, high = np.where(excess > 0, low, value), np.where(excess > 0, value, high)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                newton = value - excess / density
            # Between far components the density is 0, and the step leads out of the bracket.
            following = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
            settled = (np.abs(excess) <= _ROUNDING) | (np.abs(following - value) <= _ROUNDING * np.abs(value))
            value = following
            if settled.all():
                break
        return value

    def element(self, index: int) -> Self:
        """The part at ``index`` of the last axis [..., index]."""
        return type(self)(self.weight[..., index, :], self.mean[..., index, :], self.std[..., index, :])

    def log_density(self, value: Values) -> Values:
        """[...] natural logarithm of the density at ``value`` [...]."""
        z = (value[..., None] - self.mean) / self.std
        log_weight = np.log(np.maximum(self.weight, np.finfo(np.float64).tiny))
        return np.asarray(logsumexp(log_weight - 0.5 * z**2 - np.log(self.std), axis=-1) - _LOG_SQRT_2PI)

    def crps(self, true: Values) -> Values:
        """[...] continuous ranked probability score at ``true`` [...]; smaller is better, unit of the values."""
        from_truth = (self.weight * _expected_distance(true[..., None] - self.mean, self.std)).sum(-1)
        apart = self.mean[..., :, None] - self.mean[..., None, :]
        spread = np.hypot(self.std[..., :, None], self.std[..., None, :])
        pairs = self.weight[..., :, None] * self.weight[..., None, :]
        return from_truth - 0.5 * (pairs * _expected_distance(apart, spread)).sum((-1, -2))


def _expected_distance(distance: Values, std: Values) -> Values:
    """E|X| of X ~ N(distance, std²)."""
    z = distance / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return 2 * std * density + distance * (2 * ndtr(z) - 1)


def ewma_random_walk(log_close: Values, anchor_rows: NDArray[np.int64], pred_len: int) -> GaussianMixture:
    """[n, P] the probabilistic bar: displacement ~ N(0, h · EWMA(0.94) variance), one component.

    Args:
        log_close: [R] log Close of every row.
        anchor_rows: [n] last known row of each window; nothing later is used.
        pred_len: P.

    Raises:
        ValueError: a window has no daily move before its anchor.
    """
    if len(anchor_rows) == 0 or anchor_rows.min() < 1:
        raise ValueError("an EWMA random walk needs anchor rows with at least one daily move before them")
    squares = np.square(np.diff(log_close))
    variance = np.empty(len(squares))
    level = weight = 0.0
    for day, square in enumerate(squares):
        # Divided by the sum of weights: the first days are a plain mean, not a guess.
        level, weight = EWMA_DECAY * level + square, EWMA_DECAY * weight + 1.0
        variance[day] = level / weight
    days = np.arange(1, pred_len + 1)
    std = np.maximum(np.sqrt(variance[anchor_rows - 1, None] * days), NO_WIDTH)[..., None]
    return GaussianMixture(np.ones_like(std), np.zeros_like(std), std)
