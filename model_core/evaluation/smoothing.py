"""Is the mean of a series whose neighbors overlap really different from 0? Fixed-smoothing tests. NumPy and SciPy only.

The orthonormal cosine transform of x_1 … x_n is

    X_0 = √n · mean(x)        X_j = √(2/n) Σ_t x_t cos(π j (t − ½) / n),  j = 1, 2, …

If the mean is 0 and B is small beside n / horizon, X_0 … X_B are nearly independent with one common variance,
the long-run variance of the series. So X_0 / √(mean of X_1² … X_B²) has Student's t distribution with B degrees of
freedom, however few windows there are (equal-weighted cosine estimator: Müller, 2007; Lazarus, Lewis, Stock and
Watson, 2018; for Diebold and Mariano's test: Coroneo and Iacone, 2020). ``benchmarks/null_markets.py`` compares it with
other tests, and ``docs/significance.md`` has the table.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtr, stdtrit

Series = NDArray[np.float64]

POWER = 0.8
"""Of the minimum detectable effect."""


def degrees_of_freedom(count: int, horizon: int) -> int:
    """B for ``count`` windows of which ``horizon`` neighbors share days.

    Two for every five independent stretches, since the overlap bends the spectrum beyond that; at most
    0.4 · count^(2/3), since losses also have a memory of their own (Lazarus et al., 2018).
    """
    return max(1, int(min(2 * count / (5 * horizon), 0.4 * count ** (2 / 3))))


def cosine_coefficients(series: Series, horizon: int) -> Series:
    """[B + 1, …] the coefficients X_0 … X_B of ``series`` [n, …] along its first axis."""
    terms = degrees_of_freedom(len(series), horizon)
    coefficients: Series = dct(series, type=2, norm="ortho", axis=0)[: terms + 1]
    return coefficients


def critical_value(degrees: int, confidence: float) -> float:
    """Two-sided critical value of Student's t."""
    return float(stdtrit(degrees, (1 + confidence) / 2))


@dataclass(frozen=True)
class MeanTest:
    """Whether the mean of a series is 0."""

    mean: float
    standard_error: float
    statistic: float
    p_value: float
    """Two-sided."""
    degrees: int
    """Of freedom: B."""


def mean_test(series: Series, horizon: int) -> MeanTest:
    """Test the mean of ``series`` [n]; one that is 0 throughout has the statistic 0 and the p-value 1."""
    level, *waves = cosine_coefficients(series, horizon).tolist()
    error = float(np.sqrt(np.mean(np.square(waves))))
    statistic = 0.0 if level == 0 else level / error if error > 0 else np.copysign(np.inf, level)
    root = np.sqrt(len(series))
    return MeanTest(
        mean=level / root,
        standard_error=error / root,
        statistic=float(statistic),
        p_value=float(2 * stdtr(len(waves), -abs(statistic))),
        degrees=len(waves),
    )


def ratio_set(
    numerator: Series, denominator: Series, horizon: int, confidence: float
) -> tuple[float, float] | None:
    """Every r for which the mean of numerator − r · denominator [n] is not significantly different from 0.

    The set of all r with X_0(r)² ≤ t² · mean X_j(r)² is the solution of a quadratic inequality (Fieller, 1954). It
    holds 1 exactly if ``mean_test`` finds no difference between the two series.

    Returns:
        Its ends; None if it is unbounded, because the mean of the denominator itself is not significantly
        different from 0.
    """
    top, bottom = cosine_coefficients(np.stack([numerator, denominator], axis=1), horizon).T
    squared = critical_value(len(top) - 1, confidence) ** 2

    def form(x: Series, y: Series) -> float:
        return float(x[0] * y[0] - squared * np.mean(x[1:] * y[1:]))

    a, b, c = form(bottom, bottom), form(top, bottom), form(top, top)
    if a <= 0:
        return None
    # The discriminant can't be negative where a > 0, except by rounding: the ratio of the means is in the set.
    root = np.sqrt(max(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a


@lru_cache(maxsize=256)
def detectable_shift(degrees: int, confidence: float) -> float:
    """The true mean, in standard errors, that the two-sided test finds with probability ``POWER``."""
    limit = critical_value(degrees, confidence)
    # Beyond the noncentral t's median the power rises through POWER once.
    return float(brentq(lambda shift: 1 - nctdtr(degrees, shift, limit) - POWER, limit / 2, 10 * limit + 10))
