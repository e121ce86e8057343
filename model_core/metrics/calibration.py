"""How honest and how sharp forecast distributions are: CRPS, log score, pinball loss, coverage, PIT. NumPy only.

log score       −log f(y), in nats of the log price
pinball loss    max(p (y − q), (p − 1) (y − q)) of the quantile q for probability p
coverage        share of true values inside a central interval; also by thirds of the windows' volatility
PIT             F(y): uniform if the forecast is calibrated
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_core.results.calibration import PIT_BINS, Calibrated
from model_core.results.record import LARGEST

Values = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverage of the central intervals that calibration looks at."""
NOMINAL = 0.9
"""Of the interval that the report shows first, and that ``predictions.parquet`` holds."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Probabilities whose quantiles are scored by the pinball loss."""
THIRDS = ("calm", "medium", "wild")


class Distribution(Protocol):
    """A forecast distribution for every element of an array of one shape [...]."""

    def cdf(self, value: Values) -> Values:
        """[...] probability of at most ``value`` [...]."""
        ...

    def quantile(self, probability: float) -> Values:
        """[...] the value that is not exceeded with ``probability``."""
        ...

    def log_density(self, value: Values) -> Values:
        """[...] natural logarithm of the density at ``value`` [...]."""
        ...

    def crps(self, true: Values) -> Values:
        """[...] continuous ranked probability score at ``true`` [...]."""
        ...


def central_interval(forecast: Distribution, level: float) -> tuple[Values, Values]:
    """Ends of the interval that holds ``level`` of the probability, with as much below as above."""
    low, high = _tails(level)
    return forecast.quantile(low), forecast.quantile(high)


def _tails(level: float) -> tuple[float, float]:
    """Probabilities of the ends, rounded so that equal ones are equal: 0.05 and 0.95 of 0.9."""
    return round((1 - level) / 2, 9), round((1 + level) / 2, 9)


def inside(true: Values, low: Values, high: Values) -> NDArray[np.bool_]:
    """Which true values lie in their interval, ends included."""
    return (true >= low) & (true <= high)


def pinball_loss(true: Values, quantile: Values, probability: float) -> float:
    """Mean loss of a quantile forecast; smaller is better, and the true quantile has the smallest."""
    above = true - quantile
    return float(np.maximum(probability * above, (probability - 1) * above).mean())


def volatility_thirds(volatility: Values) -> dict[str, NDArray[np.int64]]:
    """Windows [n] by the rank of their volatility in three parts as equal as can be; some are empty if n < 3."""
    parts = np.array_split(np.argsort(volatility, kind="stable"), len(THIRDS))
    return dict(zip(THIRDS, parts, strict=True))


def calibration(forecast: Distribution, true: Values, volatility: Values) -> Calibrated:
    """Every measure of one target's forecasts.

    Args:
        forecast: of [n, P] displacements; true: [n, P].
        volatility: [n] what was known of each window's volatility at its anchor.
    """
    pit, _ = np.histogram(np.clip(forecast.cdf(true), 0, 1), bins=PIT_BINS, range=(0, 1))
    crps = forecast.crps(true)
    log_score = -float(forecast.log_density(true).mean())
    # Some are both a quantile that is scored and the end of an interval.
    ends = {p for level in LEVELS for p in _tails(level)}
    quantiles = {p: forecast.quantile(p) for p in ends.union(QUANTILES)}
    held = {f"{level:.0%}": inside(true, *(quantiles[p] for p in _tails(level))) for level in LEVELS}
    thirds = {name: rows for name, rows in volatility_thirds(volatility).items() if len(rows)}
    return Calibrated(
        crps=float(crps.mean()),
        crps_per_step=tuple(map(float, crps.mean(axis=0))),
        log_score=log_score if abs(log_score) < LARGEST else None,
        pinball={f"{p:.0%}": pinball_loss(true, quantiles[p], p) for p in QUANTILES},
        coverage={level: float(hits.mean()) for level, hits in held.items()},
        coverage_per_step={level: tuple(map(float, hits.mean(axis=0))) for level, hits in held.items()},
        coverage_by_volatility={
            name: {level: float(hits[rows].mean()) for level, hits in held.items()}
            for name, rows in thirds.items()
        },
        pit=tuple((pit / true.size).tolist()),
    )
