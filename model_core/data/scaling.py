"""Standardization of the waves that are not angles, fitted on train rows only."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model_core.sky.waves import Wave


@dataclass(frozen=True)
class Scaler:
    """scaled = (raw − mean) / std per wave; 0 and 1 for prices, angles and constant waves."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, waves: NDArray[np.float64], specs: tuple[Wave, ...], train_rows: slice) -> Self:
        """Fit on ``waves[train_rows]`` ([R, W]); a wave that is constant there keeps mean 0 and std 1."""
        train = waves[train_rows]
        mean, std = train.mean(axis=0), train.std(axis=0)
        scaled = np.array([wave.scaled for wave in specs]) & (std > 1e-9)
        return cls(np.where(scaled, mean, 0.0), np.where(scaled, std, 1.0))

    def apply(self, waves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scaled waves, [..., W]."""
        return (waves - self.mean) / self.std

    def to_json(self, specs: tuple[Wave, ...]) -> dict[str, object]:
        """One entry per wave, by name."""
        rows = zip(specs, self.mean.tolist(), self.std.tolist(), strict=True)
        return {wave.name: {"mean": mean, "std": std} for wave, mean, std in rows}

    @classmethod
    def from_json(cls, value: dict[str, dict[str, float]], specs: tuple[Wave, ...]) -> Self:
        """The inverse of ``to_json``."""
        rows = [(value[wave.name]["mean"], value[wave.name]["std"]) for wave in specs]
        mean, std = np.array(rows, dtype=np.float64).T
        return cls(mean, std)
