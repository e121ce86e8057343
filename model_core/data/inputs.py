"""What a model must know of the dataset it was built for; stored beside its weights. No torch."""

from typing import Self

from pydantic import model_validator

from model_core.config.base import Section
from model_core.config.data import WindowSettings, WrittenLayout
from model_core.data.dataset import MarketDataset
from model_core.errors import ArtifactError
from model_core.sky.waves import Wave, waves_of


class ModelInputs(Section):
    """Lengths, waves, scaling and the structured random walk of a dataset."""

    layout: WrittenLayout
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

    def refuse_other_windows(self, dataset: MarketDataset) -> None:
        """A model reads windows of the lengths and waves that it was trained with, of whichever market.

        Raises:
            ArtifactError: the dataset was prepared with others; the text says with which to prepare it.
        """
        if (dataset.layout, dataset.window) == (self.layout, self.window):
            return
        lengths = ", ".join(f"{name}: {length}" for name, length in self.window.model_dump().items())
        raise ArtifactError(
            f"the model was trained on windows of {_told(self.layout, self.window)}, and the dataset holds windows of "
            f"{_told(dataset.layout, dataset.window)}; prepare the table with --set data.layout={self.layout} --set "
            f"'data.window={{{lengths}}}', or train a model on this dataset"
        )


def _told(layout: str, window: WindowSettings) -> str:
    return (
        f"{window.seq_len} known days (label_len {window.label_len}) and {window.pred_len} forecast days in layout "
        f"{layout}"
    )
