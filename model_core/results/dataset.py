"""How a table was split and scaled: ``splits.json`` and ``scaler.json`` beside the waves of a dataset."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model_core.config.data import WindowSettings, WrittenLayout
from model_core.results.record import Count, Day, Finite, Number, Record, Result, Rows, Share

Grid = Rows[Rows[Number]]
"""[P, T]: a row for each day ahead, each of them Open, High, Low, Close."""
Variant = Literal["har", "range", "geometry"]


class AnchorRows(Record):
    """Windows by the row of their last known day, counted from 0."""

    first: Count
    stop: Count
    """The row after the last one."""


class SpanDates(Record):
    """When a split lies."""

    windows: Count
    first_anchor_date: Day
    """Last known day of the first window."""
    last_anchor_date: Day
    first_target_date: Day
    """First day that a window of the split forecasts."""
    last_target_date: Day


class BySplit(Record):
    """Anchor rows of the three splits, in chronological order."""

    train: AnchorRows
    validation: AnchorRows
    test: AnchorRows


class DatesBySplit(Record):
    """The same in dates, for people."""

    train: SpanDates
    validation: SpanDates
    test: SpanDates


class SplitResult(Result):
    """``splits.json``: which rows are for training, validation and test."""

    file: ClassVar[str] = "splits.json"
    step: ClassVar[str] = "prepare_data"

    layout: WrittenLayout
    """Where the waves come from: computed for the table's dates, or imported with a published table."""
    window: WindowSettings
    scale_rows: Annotated[int, Field(ge=1, le=10**15)]
    """Rows whose mean range is the scale of a window."""
    purge_rows: Count
    """Rows between the last target dates of neighboring splits: no target day is shared."""
    anchor_rows: BySplit
    spans: DatesBySplit


class WaveScale(Record):
    """scaled = (raw − mean) / std; 0 and 1 for prices, angles and waves that are constant."""

    mean: Finite
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class WalkCoefficients(Record):
    """The structured walk: displacement = a + b · scale + Σ c[i] · range i, in log price."""

    a: Grid
    b: Grid
    c: Rows[Grid]
    """One grid for each of the ranges."""
    days: Rows[Count]
    """Rows that each range is a mean of."""
    variant: Variant
    """Which terms the candle has; validation chose it."""
    drift_share: Share
    """How much of the drift that least squares found is kept."""
    validation_mae: dict[str, Number]
    """Mean absolute error in log price on the validation windows, by variant."""
    validation_candle_rmse: dict[str, Number] | None = None
    """Root mean squared error of Open, High, Low less Close there, by variant: what it is chosen by. Null in files of
    before, whose variant was chosen by the other error."""


class HarCoefficients(Record):
    """Standard deviation about the walk: the constant, then one coefficient for each of the ranges."""

    coefficients: Rows[Grid]
    days: Rows[Count]
    """Rows that each range is a mean of."""


class ScalerResult(Result):
    """``scaler.json``: what was fitted on the training rows: scales, the structured walk, and the width about it."""

    file: ClassVar[str] = "scaler.json"
    step: ClassVar[str] = "prepare_data"

    waves: dict[str, WaveScale]
    """By the names of the columns of ``waves.parquet``."""
    structured_walk: WalkCoefficients
    har_scale: HarCoefficients
