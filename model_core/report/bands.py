"""How far an honest forecast strays by chance: the bands of the calibration figures. NumPy and SciPy only.

Windows that share days are not independent trials, so n windows of P days count as n / P of them. That is cautious for
days near the anchor, whose windows share less.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from model_core.data.splits import MIN_INDEPENDENT_WINDOWS

Values = NDArray[np.float64]
_DRAWS = 2000
_SEED = 2024
_STRETCH = 126
"""Windows in a rolling share, half a year of trading days; of short test spans a third."""


@dataclass(frozen=True)
class Band:
    """Where a share lies with the page's confidence if the forecast is honest."""

    low: float
    high: float

    def side(self, share: float) -> int:
        """−1 below, 0 within, 1 above."""
        return int(share > self.high) - int(share < self.low)


def share_band(share: float, windows: float, horizon: int, confidence: float) -> Band | None:
    """Of a share of days that is ``share`` in truth; None with fewer independent windows than a verdict needs."""
    independent = int(windows / horizon)
    if independent < MIN_INDEPENDENT_WINDOWS:
        return None
    low, high = stats.binom.ppf(((1 - confidence) / 2, (1 + confidence) / 2), independent, share)
    return Band(float(low / independent), float(high / independent))


def stretch_of(windows: int, horizon: int) -> int | None:
    """How many windows a rolling share is over; None if the test span is too short to follow anything in it."""
    length = min(_STRETCH, windows // 3)
    return length if length >= MIN_INDEPENDENT_WINDOWS * horizon else None


def rolling_mean(series: Values, length: int) -> Values:
    """[n − length + 1] means of every stretch of ``length`` neighbors."""
    total = np.concatenate([[0.0], np.cumsum(series)])
    return (total[length:] - total[:-length]) / length


def block_band(series: Values, length: int, horizon: int, center: float, confidence: float) -> Band:
    """Of the mean of ``length`` neighbors if the mean were ``center`` everywhere and only runs of days cluster.

    Stretches are put together from blocks of twice the horizon of ``series`` [n], moved to ``center`` (circular block
    bootstrap; Politis and Romano, 1992), so that what lasts longer than a block shows as leaving the band.
    """
    block = 2 * horizon
    around = np.concatenate([series, series[: block - 1]]) - series.mean()
    means = rolling_mean(around, block)
    picked = np.random.default_rng(_SEED).integers(len(means), size=(_DRAWS, max(1, round(length / block))))
    low, high = np.quantile(means[picked].mean(axis=1), ((1 - confidence) / 2, (1 + confidence) / 2)) + center
    return Band(max(float(low), 0.0), min(float(high), 1.0))
