"""What a model must know of the dataset it was built for; stored beside its weights. No torch."""

from typing import Literal, Self

from pydantic import model_validator

from model_core.config.base import Section
from model_core.config.run import WindowSettings
from model_core.data.dataset import MarketDataset
from model_core.sky.waves import Wave, waves_of


class ModelInputs(Section):
    """Lengths, waves, scaling and the structured random walk of a dataset."""

    layout: Literal["ephemeris", "prepared"]
    window: WindowSettings
    wave_mean: tuple[float, ...]
    wave_std: tuple[float, ...]
    """[W] raw wave = scaled · std + mean; 0 and 1 where a wave is not scaled."""
    walk_a: tuple[tuple[float, ...], ...]
    walk_b: tuple[tuple[float, ...], ...]
    """[P, T] structured walk: log price − anchor = a + b · scale."""

    @model_validator(mode="after")
    def _one_value_per_wave(self) -> Self:
        count = len(self.waves)
        if len(self.wave_mean) != count or len(self.wave_std) != count:
            raise ValueError(f"wave_mean and wave_std must hold {count} values, one per wave")
        return self

    @property
    def waves(self) -> tuple[Wave, ...]:
        """The waves in column order."""
        return waves_of(self.layout)

    @classmethod
    def from_dataset(cls, dataset: MarketDataset) -> Self:
        """What a model trained on ``dataset`` must know."""
        return cls(
            layout=dataset.layout,
            window=dataset.window,
            wave_mean=tuple(dataset.scaler.mean.tolist()),
            wave_std=tuple(dataset.scaler.std.tolist()),
            walk_a=tuple(map(tuple, dataset.walk.a.tolist())),
            walk_b=tuple(map(tuple, dataset.walk.b.tolist())),
        )
