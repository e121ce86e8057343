"""Settings of the market data: the table, its windows and splits, and the sky. No torch here."""

import datetime as dt
import logging
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from model_core.config.base import Section
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

    seq_len: int = Field(250, ge=16)
    label_len: int = Field(125, ge=1)
    pred_len: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _label_inside(self) -> Self:
        if self.label_len > self.seq_len:
            raise ValueError(f"label_len {self.label_len} is longer than seq_len {self.seq_len}")
        return self


class SkySettings(Section):
    """When and where the sky is looked at: time of day in UTC, and the observer.

    ``place: geocentre`` is the centre of the Earth; otherwise latitude and longitude apply.
    """

    hour_utc: float = Field(21.0, ge=0, lt=24)
    place: Literal["geocentre", "observer"] = "geocentre"
    latitude_deg: float = Field(0.0, ge=-90, le=90)
    longitude_deg: float = Field(0.0, ge=-180, le=180)
    elevation_m: float = 0.0
    cache: str | None = None
    """Folder of computed skies; ``None`` uses the user's cache folder ($XDG_CACHE_HOME)."""


class RatioSplit(Section):
    """Chronological shares; what is left after train and validation is the test span."""

    kind: Literal["ratio"] = "ratio"
    train: float = Field(0.7, gt=0, lt=1)
    validation: float = Field(0.1, gt=0, lt=1)

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
    validation: int = Field(50, ge=1)
    test: int = Field(50, ge=1)


class DateSplit(Section):
    """Validation starts at one date, test at another; ``test_end`` (exclusive) may close the test span."""

    kind: Literal["dates"]
    validation_start: dt.date
    test_start: dt.date
    test_end: dt.date | None = None

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
    folds: int = Field(5, ge=1)
    fold: int = Field(0, ge=0)
    test: int = Field(200, ge=1)
    validation: int = Field(200, ge=1)

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist; folds are numbered 0 … {self.folds - 1}")
        return self


SplitSettings = Annotated[RatioSplit | TailSplit | DateSplit | RollingSplit, Field(discriminator="kind")]


class SyntheticSettings(Section):
    """``sample://synthetic``: a seeded market with a planted celestial effect (0 bp: pure noise)."""

    rows: int = Field(5000, ge=50)
    start: dt.date = dt.date(1999, 1, 4)
    seed: int = 2024
    effect_bp_per_day: float = Field(40.0, ge=0)
    volatility_per_day: float = Field(0.01, gt=0)


class DataSettings(Section):
    """From a market table to a prepared dataset."""

    layout: WrittenLayout = "ephemeris"
    columns: dict[str, str] = {}
    """Our name → the table's name, for tables whose columns are called otherwise, e.g. ``{Close: settle}``."""
    format: FormatSettings = FormatSettings()
    limits: LimitSettings = LimitSettings()
    date_format: str | None = None
    """How dates are written, in strftime codes; ``None`` recognizes it from all rows."""
    sort: bool = False
    """Sort a table that is out of order instead of refusing it."""
    timezone: str = "America/New_York"
    """Exchange time zone: moments in UTC become the date there; a stamp with an offset of its own keeps its date."""
    opens_on_eve: bool | None = None
    """Whether bars are stamped when they open, on the evening before their date; ``None`` refuses a table whose
    weekdays look like it."""
    holidays: tuple[dt.date, ...] = ()
    """Days without trading after the last row, for the dates of a forecast beyond the table, which otherwise
    follow the week of the table's last year; rows of the table are never left out."""
    price_anchor: float = Field(100.0, gt=0)
    """First Close when a published table holds log returns instead of log prices."""
    scale_rows: int = Field(20, ge=1)
    """Rows whose mean log High − log Low scales a window's displacements."""
    window: WindowSettings = WindowSettings()
    splits: SplitSettings = RatioSplit()
    sky: SkySettings = SkySettings()
    synthetic: SyntheticSettings = SyntheticSettings()

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
                f"{quoted(value)} is no time zone; write one like America/New_York or UTC"
            ) from error
        return value
