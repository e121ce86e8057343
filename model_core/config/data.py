"""Settings of the market data: the table, its windows and splits, and the sky. No torch here."""

import datetime as dt
import logging
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from model_core.config.base import Section, Unit
from model_core.config.table import FormatSettings, LimitSettings
from model_core.errors import quoted

log = logging.getLogger("pgat.settings")


Layout = Literal["ephemeris", "published"]
"""Where the waves of a dataset come from: computed for its dates, or imported with a published table."""


def layout_of(word: object) -> object:
    """The layout that a word means: what earlier versions called ``prepared`` is ``published``."""
    return "published" if word == "prepared" else word


WrittenLayout = Annotated[Layout, BeforeValidator(layout_of)]
"""A layout as settings and artifacts say it, those of earlier versions included."""


class WindowSettings(Section):
    """Lengths of one window in table rows (trading days)."""

    seq_len: Annotated[int, Unit("rows")] = Field(250, ge=16)
    """Known days that the model sees."""
    label_len: Annotated[int, Unit("rows")] = Field(125, ge=1)
    """The last known days, from which the decoder starts."""
    pred_len: Annotated[int, Unit("rows")] = Field(10, ge=1)
    """Forecast days: the horizon."""

    @model_validator(mode="after")
    def _label_inside(self) -> Self:
        if self.label_len > self.seq_len:
            raise ValueError(f"label_len {self.label_len} is longer than seq_len {self.seq_len}")
        return self


class SkySettings(Section):
    """When and from where the sky is observed."""

    hour_utc: Annotated[float, Unit("hours after midnight UTC")] = Field(21.0, ge=0, lt=24)
    """Time of day at which the sky of a date is computed."""
    place: Literal["geocentre", "observer"] = "geocentre"
    """From the center of the Earth, or from the place given below."""
    latitude_deg: Annotated[float, Unit("°")] = Field(0.0, ge=-90, le=90)
    """Of the observer; north is positive."""
    longitude_deg: Annotated[float, Unit("°")] = Field(0.0, ge=-180, le=180)
    """Of the observer; east is positive."""
    elevation_m: Annotated[float, Unit("m")] = 0.0
    """Of the observer, above sea level."""
    cache: str | None = None
    """Folder of computed skies; ``None``: the user's cache folder ($XDG_CACHE_HOME)."""


class RatioSplit(Section):
    """Chronological shares; what is left after train and validation is the test span."""

    kind: Literal["ratio"] = "ratio"
    """Which kind of split: ratio, tail, dates or rolling."""
    train: Annotated[float, Unit("share of rows")] = Field(0.7, gt=0, lt=1)
    """Share of the training span."""
    validation: Annotated[float, Unit("share of rows")] = Field(0.1, gt=0, lt=1)
    """Share of the validation span; the rest is the test span."""

    @model_validator(mode="after")
    def _leaves_a_test_span(self) -> Self:
        if self.train + self.validation > 1 - 1e-9:
            raise ValueError(
                f"train {self.train:g} and validation {self.validation:g} leave nothing to test; make them smaller"
            )
        return self


class TailSplit(Section):
    """The published split: the last ``test`` target rows, and ``validation`` rows before them."""

    kind: Literal["tail"]
    """Which kind of split."""
    validation: Annotated[int, Unit("rows")] = Field(50, ge=1)
    """Target rows of the validation span."""
    test: Annotated[int, Unit("rows")] = Field(50, ge=1)
    """Target rows of the test span: 50 hold 41 windows of 10 days, too few for any claim."""


class DateSplit(Section):
    """Validation starts at one date, test at another; ``test_end`` (exclusive) may close the test span."""

    kind: Literal["dates"]
    """Which kind of split."""
    validation_start: dt.date
    """First target date of the validation span."""
    test_start: dt.date
    """First target date of the test span."""
    test_end: dt.date | None = None
    """Day after the test span; ``None``: it ends with the table."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        ends = [self.validation_start, self.test_start, *([self.test_end] if self.test_end else [])]
        if ends != sorted(set(ends)):
            said = ", ".join(map(str, ends))
            raise ValueError(f"validation_start, test_start and test_end must ascend; they are {said}")
        return self


class RollingSplit(Section):
    """One fold of a rolling-origin walk-forward: ``fold`` of ``folds`` equal test spans at the end."""

    kind: Literal["rolling"]
    """Which kind of split."""
    folds: int = Field(5, ge=1)
    """How many test spans follow one another at the end of the table."""
    fold: int = Field(0, ge=0)
    """Which of them this run uses, counted from 0."""
    test: Annotated[int, Unit("rows")] = Field(200, ge=1)
    """Target rows of each test span."""
    validation: Annotated[int, Unit("rows")] = Field(200, ge=1)
    """Target rows of the validation span before it."""

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist; folds are numbered 0 … {self.folds - 1}")
        return self


SplitSettings = Annotated[RatioSplit | TailSplit | DateSplit | RollingSplit, Field(discriminator="kind")]


class SyntheticSettings(Section):
    """``sample://synthetic``: a seeded market with a planted celestial effect (0 bp: pure noise)."""

    rows: Annotated[int, Unit("rows")] = Field(5000, ge=50)
    """Length of the market."""
    start: dt.date = dt.date(1999, 1, 4)
    """Its first day."""
    seed: int = 2024
    """Of its random numbers."""
    effect_bp_per_day: Annotated[float, Unit("bp a day")] = Field(40.0, ge=0)
    """Strength of the planted effect of the sky; 0: pure noise."""
    volatility_per_day: Annotated[float, Unit("log price a day")] = Field(0.01, gt=0)
    """Deviation of the random part of a daily return."""


class DataSettings(Section):
    """From a market table to a prepared dataset."""

    layout: WrittenLayout = "ephemeris"
    """118 waves computed here for the dates of a price table, or a published table that holds them already."""
    columns: dict[str, str] = {}
    """Our name: the table's name, for tables whose columns are called otherwise, e.g. ``{Close: settle}``."""
    format: FormatSettings = FormatSettings()
    """How the file is written; ``None`` recognizes it from the file itself."""
    limits: LimitSettings = LimitSettings()
    """A larger table is refused before it is read whole."""
    date_format: str | None = None
    """How dates are written, in strftime codes, e.g. ``"%d.%m.%Y"``; ``None`` recognizes it from all rows."""
    sort: bool = False
    """Sort a table that is out of order instead of refusing it."""
    timezone: str = "America/New_York"
    """Time zone of the exchange: moments in UTC become the date there; a stamp with an offset of its own keeps its
    date."""
    opens_on_eve: bool | None = None
    """Whether bars are stamped when they open, on the evening before their date; ``None`` refuses a table whose
    weekdays look like it."""
    holidays: tuple[dt.date, ...] = ()
    """Days without trading after the last row, e.g. ``[2026-12-25]``: dates of a forecast beyond the table follow
    the week of its last year otherwise."""
    price_anchor: Annotated[float, Unit("price")] = Field(100.0, gt=0)
    """First Close when a published table holds log returns instead of log prices."""
    scale_rows: Annotated[int, Unit("rows")] = Field(20, ge=1)
    """Rows whose mean log High − log Low scales a window's displacements."""
    window: WindowSettings = WindowSettings()
    """Lengths of a window."""
    splits: SplitSettings = RatioSplit()
    """Spans in the order of time, with ``pred_len`` rows left out between two of them."""
    sky: SkySettings = SkySettings()
    """When and from where the sky is observed."""
    synthetic: SyntheticSettings = SyntheticSettings()
    """The market ``sample://synthetic``, with a planted effect of the sky."""

    @field_validator("layout", mode="before")
    @classmethod
    def _say_if_renamed(cls, value: object) -> object:
        if layout_of(value) != value:
            log.warning("data.layout: %s is called %s now, and means the same", value, layout_of(value))
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{quoted(value)} is not a time zone; write one like America/New_York or UTC"
            ) from error
        return value
