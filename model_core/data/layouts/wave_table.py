"""What both layouts hand to preparation: the raw waves of a table, however they came about."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.data import Layout
from model_core.data.splits import Splits
from model_core.results.quality import Prices, TableWarning
from model_core.sky.waves import Wave, waves_of


@dataclass(frozen=True)
class WaveTable:
    """Checked rows with their 118 raw waves, and the days that follow them."""

    layout: Layout
    dates: NDArray[np.datetime64]
    """[R] ascending days."""
    waves: NDArray[np.float64]
    """[R, W] log prices first, then the time step, then the sky."""
    future_dates: NDArray[np.datetime64]
    """[P] trading dates after the table; empty if their sky is not known."""
    future_waves: NDArray[np.float64]
    """[P, W] the waves of those dates; prices are NaN."""
    splits: Splits
    prices: Prices
    """What the price columns held, and how that was told."""
    warnings: tuple[TableWarning, ...]
    reading: Mapping[str, str]
    """How file, dates and numbers were understood, for people."""

    @property
    def specs(self) -> tuple[Wave, ...]:
        """The waves in column order."""
        return waves_of(self.layout)

    @property
    def log_prices(self) -> NDArray[np.float64]:
        """[R, T] log Open, High, Low, Close."""
        return self.waves[:, : len(TARGETS)]
