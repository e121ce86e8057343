"""What one should know of a table before believing a model of it: ``quality.json``."""

from typing import ClassVar, Literal

from pydantic import Field

from model_core.config.data import WrittenLayout
from model_core.results.record import Count, Day, Finite, Number, Record, Result, Rows, Words


class Source(Record):
    """Where the market table came from."""

    uri: Words
    """As it was given."""
    sha256: Words


class Prices(Record):
    """What the price columns held, and the two numbers of log Close that it was recognized by."""

    found: Words = "prices"
    """Prices, log prices, or which log returns."""
    lag_1_autocorrelation: Finite | None = None
    """Of log Close."""
    median_size: Finite | None = None
    """Median absolute value."""


class Sky(Record):
    """When and from where the sky was looked at."""

    hour_utc: Finite
    """Hours, in UTC."""
    place: Literal["geocentre", "observer"]
    latitude_deg: Finite
    longitude_deg: Finite
    elevation_m: Finite


class Statistics(Record):
    """The market in four numbers."""

    first_close: Finite
    """In prices."""
    last_close: Finite
    """In prices."""
    daily_volatility: Finite
    """Standard deviation of the daily move of log Close."""
    largest_daily_move: Finite
    """Of log Close, without its sign."""


class IndependentWindows(Record):
    """How many windows of each split share no day, rounded down to a tenth."""

    train: Finite
    validation: Finite
    test: Finite


class TableWarning(Record):
    """Something that is odd about the table but possible."""

    code: Words
    """A short name."""
    count: Count
    """Rows where it occurs."""
    message: Words
    """What is odd."""
    examples: Rows[Words] = ()
    """The first few rows."""


class OutsideWave(Record):
    """A wave that leaves, in the test rows, what training saw."""

    wave: Words
    train_min: Number
    train_max: Number
    test_min: Number
    test_max: Number
    share_outside: Number
    """Share of the test rows outside the range of the train rows."""


class Quality(Result):
    """``quality.json``: source, how it was read, what is odd, and which waves leave their train range."""

    file: ClassVar[str] = "quality.json"
    step: ClassVar[str] = "prepare_data"

    source: Source
    reading: dict[str, Words] = Field(default_factory=dict)
    """How file, dates and numbers were understood."""
    layout: WrittenLayout
    """Whether the sky was computed or came with the table."""
    sky: Sky | None
    """Null if the table brought its own sky."""
    rows: Count
    """Trading days."""
    first_date: Day
    last_date: Day
    prices: Prices
    """What the price columns held."""
    statistics: Statistics
    independent_windows: IndependentWindows | None = None
    warnings: Rows[TableWarning]
    warning_counts: dict[str, Count]
    """The counts of ``warnings``, by code."""
    constant_waves: Rows[Words]
    """Waves that do not move on the train rows."""
    out_of_train_range: Rows[OutsideWave]
    """Worst first."""
