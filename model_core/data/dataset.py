"""The prepared dataset: what ``prepare_data`` writes and every later step reads. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model_core.artifacts import open_artifact
from model_core.axes import TARGETS
from model_core.config.data import Layout, WindowSettings
from model_core.data.har import HarScale
from model_core.data.scaling import Scaler
from model_core.data.splits import Span, Splits
from model_core.data.walk import KnownRanges, StructuredWalk
from model_core.errors import ArtifactError, shortened
from model_core.manifest import Manifest
from model_core.parquet import read_frame
from model_core.results.dataset import ScalerResult, SplitResult
from model_core.results.quality import Quality
from model_core.results.record import read_result, write_result
from model_core.sky.waves import Wave, waves_of

PRODUCER = "prepare_data"


@dataclass(frozen=True)
class MarketDataset:
    """A market table with its waves, splits, scaler, structured walk and the scale of that walk.

    ``waves`` holds raw values: log prices in columns 0 … 3, the time step in days, then the sky.
    """

    dates: NDArray[np.datetime64]
    """[R] trading dates."""
    waves: NDArray[np.float64]
    """[R, W]"""
    layout: Layout
    splits: Splits
    scaler: Scaler
    walk: StructuredWalk
    har_scale: HarScale
    """Standard deviation about the walk."""
    window: WindowSettings
    scale_rows: int
    future_dates: NDArray[np.datetime64]
    """[P] trading dates that follow the table; none in layout ``published``, whose sky ends with it."""
    future_waves: NDArray[np.float64]
    """[P, W] the waves of those dates; prices are NaN."""
    quality: Quality

    @property
    def specs(self) -> tuple[Wave, ...]:
        """The waves in column order."""
        return waves_of(self.layout)

    @property
    def log_prices(self) -> NDArray[np.float64]:
        """[R, T] log Open, High, Low, Close."""
        return self.waves[:, : len(TARGETS)]

    @property
    def known_ranges(self) -> KnownRanges:
        """What the walk and its scale look at, for every row."""
        return KnownRanges.of(self.log_prices, self.scale_rows, self.walk.days)

    def span(self, split: str) -> Span:
        """Anchor rows of ``train``, ``validation`` or ``test``."""
        return {"train": self.splits.train, "validation": self.splits.validation, "test": self.splits.test}[
            split
        ]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a dataset after checking its manifest.

        Raises:
            ArtifactError: the folder is missing, damaged, or no dataset.
        """
        folder = Path(folder)
        open_artifact(folder, producer=PRODUCER)
        try:
            splits = read_result(SplitResult, folder)
            scaler = read_result(ScalerResult, folder).model_dump()
            specs = waves_of(splits.layout)
            dates, waves = _read_waves(folder / "waves.parquet", specs)
            future_dates, future_waves = _read_waves(folder / "future.parquet", specs)
            dataset = cls(
                dates=dates,
                waves=waves,
                layout=splits.layout,
                splits=Splits.from_json(splits.anchor_rows.model_dump()),
                scaler=Scaler.from_json(scaler["waves"], specs),
                walk=StructuredWalk.from_json(scaler["structured_walk"]),
                har_scale=HarScale.from_json(scaler["har_scale"]),
                window=splits.window,
                scale_rows=splits.scale_rows,
                future_dates=future_dates,
                future_waves=future_waves,
                quality=read_result(Quality, folder),
            )
            dataset._refuse_spans_beyond_the_table()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"{folder} is not a dataset of this version ({shortened(repr(error))}); run the {PRODUCER} step again",
                path=folder,
            ) from error
        return dataset

    def _refuse_spans_beyond_the_table(self) -> None:
        for name in ("train", "validation", "test"):
            span = self.span(name)
            if not 0 <= span.first < span.stop <= len(self.dates) - self.window.pred_len:
                raise ValueError(f"the {name} span leaves the table")

    def write(self, folder: Path) -> None:
        """Write all files but the manifest into an existing folder; same content, same bytes."""
        _write_waves(folder / "waves.parquet", self.dates, self.waves, self.specs)
        _write_waves(folder / "future.parquet", self.future_dates, self.future_waves, self.specs)
        for result in (self._split_result(), self._scaler_result(), self.quality):
            write_result(folder, result)

    def _split_result(self) -> SplitResult:
        content = {
            "layout": self.layout,
            "window": self.window,
            "scale_rows": self.scale_rows,
            "purge_rows": self.window.pred_len,
            "anchor_rows": self.splits.to_json(),
            "spans": {name: self._describe(self.span(name)) for name in ("train", "validation", "test")},
        }
        return SplitResult.model_validate(content)

    def _scaler_result(self) -> ScalerResult:
        content = {
            "waves": self.scaler.to_json(self.specs),
            "structured_walk": self.walk.to_json(),
            "har_scale": self.har_scale.to_json(),
        }
        return ScalerResult.model_validate(content)

    def _describe(self, span: Span) -> dict[str, object]:
        first_target, last_target = span.first + 1, span.stop - 1 + self.window.pred_len
        return {
            "windows": len(span),
            "first_anchor_date": str(self.dates[span.first]),
            "last_anchor_date": str(self.dates[span.stop - 1]),
            "first_target_date": str(self.dates[first_target]),
            "last_target_date": str(self.dates[last_target]),
        }


def open_manifest(folder: Path) -> Manifest:
    """The checked manifest of a dataset folder."""
    return open_artifact(folder, producer=PRODUCER)


def _write_waves(
    path: Path, dates: NDArray[np.datetime64], waves: NDArray[np.float64], specs: tuple[Wave, ...]
) -> None:
    columns = {"date": pa.array(dates.astype("datetime64[D]"), pa.date32())}
    columns |= {wave.name: pa.array(waves[:, i]) for i, wave in enumerate(specs)}
    pq.write_table(pa.table(columns), path, compression="zstd")


def _read_waves(path: Path, specs: tuple[Wave, ...]) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    table = read_frame(path)
    dates = table["date"].to_numpy().astype("datetime64[D]")
    return dates, np.ascontiguousarray(table[[wave.name for wave in specs]].to_numpy(dtype=np.float64))
