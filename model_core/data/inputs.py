"""What a model must know of the dataset it was built for; stored beside its weights. No torch."""

from typing import Self

from pydantic import PositiveInt, model_validator

from model_core.axes import TARGETS
from model_core.config.base import Section
from model_core.config.data import WindowSettings, WrittenLayout
from model_core.data.dataset import MarketDataset
from model_core.errors import ArtifactError
from model_core.sky.waves import Wave, waves_of


class ModelInputs(Section):
    """Lengths, waves, scaling, the structured random walk and its scale of a dataset.

    Checkpoints from before there was a scale lack it and are refused: their weights correct another baseline.
    """

    layout: WrittenLayout
    window: WindowSettings
    wave_mean: tuple[float, ...]
    wave_std: tuple[float, ...]
    """[W] raw wave = scaled · std + mean; 0 and 1 where a wave is not scaled."""
    walk_a: tuple[tuple[float, ...], ...]
    walk_b: tuple[tuple[float, ...], ...]
    walk_c: tuple[tuple[tuple[float, ...], ...], ...]
    """[P, T] and [ranges, P, T] structured walk: log price − anchor = a + b · scale + Σ_i c_i · range_i."""
    scale_c: tuple[tuple[tuple[float, ...], ...], ...]
    """[1 + ranges, P, T] its standard deviation in log price: c₀ + Σ_i c_i · range_i."""
    range_days: tuple[PositiveInt, ...]
    """Last rows of the window that each of the ranges is a mean of."""

    @model_validator(mode="after")
    def _ranges_within_the_window(self) -> Self:
        count = len(self.range_days)
        if len(self.walk_c) != count or len(self.scale_c) != 1 + count:
            raise ValueError(f"walk_c must hold {count} and scale_c {1 + count} tables, to match range_days")
        tables = (self.walk_a, self.walk_b, *self.walk_c, *self.scale_c)
        if any(len(table) != len(self.walk_a) for table in tables) or any(
            len(row) != len(TARGETS) for table in tables for row in table
        ):
            raise ValueError(
                f"walk_a, walk_b, walk_c and scale_c must hold {len(TARGETS)} values a step each"
            )
        if max(self.range_days, default=0) > self.window.seq_len:
            raise ValueError(f"range_days reach beyond the {self.window.seq_len} rows of a window")
        return self

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
            walk_a=dataset.walk.a.tolist(),
            walk_b=dataset.walk.b.tolist(),
            walk_c=dataset.walk.c.tolist(),
            scale_c=dataset.har_scale.coefficients.tolist(),
            range_days=dataset.walk.days,
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
            f"the model was trained on windows of {_described(self.layout, self.window)}, and the dataset holds "
            f"windows of {_described(dataset.layout, dataset.window)}; prepare the table with --set "
            f"data.layout={self.layout} --set 'data.window={{{lengths}}}', or train a model on this dataset"
        )


def _described(layout: str, window: WindowSettings) -> str:
    return (
        f"{window.seq_len} known days (label_len {window.label_len}) and {window.pred_len} forecast days in layout "
        f"{layout}"
    )
