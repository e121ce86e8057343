"""The date column of a table: many ways of writing a day, one array of days.

A stamp that carries an offset of its own carries its own date. Moments in UTC are days if they stand at
midnight, and otherwise become the date at the exchange. The rows together decide which it is; a row that
differs from the rest is read for itself and named.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.config.data import DataSettings
from model_core.data.calendar import days_of_week
from model_core.data.reading.dates.epochs import epoch_days, epoch_numbers
from model_core.data.reading.dates.repeats import several_a_day
from model_core.data.reading.dates.text import DESCRIBE, read_text
from model_core.data.reading.dates.zones import LocalDates, Stamps, local_dates
from model_core.data.reading.problems import among, mostly, row_name, shown_value
from model_core.data.reading.warnings import note
from model_core.errors import Problem, SettingsError
from model_core.results.quality import TableWarning

_UTC = {"UTC", "GMT", "Etc/UTC", "Etc/GMT", "Zulu", "+00:00", "UCT", "Etc/UCT"}
_DAYS = 1.0 / 6.0
"""Share of rows on one day of the week that only a week of five days reaches; one of seven has 1/7."""
_HARDLY = 0.04
_EVENING, _MORNING = pd.Timedelta(hours=20), pd.Timedelta(hours=4)
_BOTH, _FEWEST = 0.01, 2
"""Share and number of rows on either side of midnight from which one hour is meant that summer time moves across
it."""
_A_WAY = 0.2
"""Share of rows from which dates that cannot be read are another way of writing, not single mistakes."""
_FIRST_DAY, _LAST_DAY = np.datetime64("1800-01-01"), np.datetime64("2100-12-31")


@dataclass(frozen=True)
class Days:
    """The days of a date column, and what was found while reading them."""

    days: NDArray[np.datetime64]
    """[R] datetime64[D], NaT where a row has none."""
    problems: list[Problem]
    notes: list[TableWarning]
    reading: dict[str, str] = field(default_factory=dict)
    """How they were understood, for people."""


def read_days(column: pd.Series, settings: DataSettings) -> Days:
    """Read a date column: dates, timestamps with or without a time zone, numbers or text.

    Raises:
        SettingsError: ``data.date_format`` or ``data.format.epoch_unit`` does not fit.
    """
    text = column.astype(object).map(lambda value: "" if pd.isna(value) else str(value).strip())
    text = text.reset_index(drop=True).astype(object)
    stamps = _stamps(column.reset_index(drop=True), text, settings)
    read = local_dates(stamps, settings.timezone)
    days = read.local.to_numpy().astype("datetime64[D]")
    convention = read.convention
    if settings.opens_on_eve:
        days = days + np.timedelta64(1, "D")
        convention += "; each is the day after, as data.opens_on_eve says"
    outside = (days < _FIRST_DAY) | (days > _LAST_DAY)
    days = np.where(outside, np.datetime64("NaT"), days)
    problems = [*stamps.problems, *read.problems]
    if not problems and not several_a_day(days):
        problems += _across_midnight(read, settings) or _wrong_week(days, read, settings)
    if not stamps.problems:
        problems += _unread(text, days, outside)
    return Days(days, problems, _notes(read, days), {"dates": stamps.written_as, "convention": convention})


def _unread(text: pd.Series, days: NDArray[np.datetime64], outside: NDArray[np.bool_]) -> list[Problem]:
    """A problem for each row without a date, or one for the column if they are many of its rows."""
    rows = np.flatnonzero(np.isnat(days)).tolist()
    said = []
    for row in rows:
        written = text.iloc[row]
        text_of_row = f"{shown_value(written)} is not a date" if written else "the date is missing"
        said.append(text_of_row + (f" from {_FIRST_DAY} to {_LAST_DAY}" if outside[row] else ""))
    if mostly(rows, len(days), _A_WAY):
        remedy = DESCRIBE
        if outside[rows[0]]:
            all_rows = len(rows) == len(days)
            remedy = "give dates in these years" if all_rows else "leave those rows out of the table"
        return [Problem("no dates", f"{said[0]}, in {among(rows, len(days))}; {remedy}")]
    return [Problem("no date", sentence, row) for row, sentence in zip(rows, said, strict=True)]


def _notes(read: LocalDates, days: NDArray[np.datetime64]) -> list[TableWarning]:
    notes = []
    if read.sentence:
        notes.append(note("timezone", int(read.zoned.sum()), read.sentence))
    rows = np.flatnonzero(read.odd).tolist()
    if rows:
        message = "stamps differ from the rest of the table, and each was read on its own"
        notes.append(note("odd_stamps", len(rows), message, [row_name(row, days) for row in rows[:5]]))
    return notes


def _stamps(column: pd.Series, text: pd.Series, settings: DataSettings) -> Stamps:
    unknown = np.full(len(column), np.nan)
    if pd.api.types.is_datetime64_any_dtype(column):
        if not isinstance(column.dtype, pd.DatetimeTZDtype):
            return Stamps(column, unknown, "", [], "dates")
        local = column.dt.tz_localize(None)
        zone = str(column.dt.tz)
        if zone in _UTC:
            return Stamps(local, np.zeros(len(column)), "", [], "moments in UTC")
        return Stamps(local, unknown, zone, [], f"dates with the zone {zone}")
    wanted = settings.format.epoch_unit
    numbers = None if settings.date_format else epoch_numbers(column, text, wanted)
    if numbers is not None:
        local, unit, problems = epoch_days(numbers, text, wanted)
        said = (
            "day numbers of a spreadsheet" if unit == "excel" else f"numbers in {unit} since 1970-01-01 UTC"
        )
        offset = unknown if unit == "excel" else np.zeros(len(column))
        return Stamps(local, offset, "", problems, said)
    if wanted and not settings.date_format and (example := next(filter(None, text), "")):
        raise SettingsError(
            f"data.format.epoch_unit is {wanted}, but dates like {shown_value(example)} are not numbers; leave it out",
            keys=["data.format.epoch_unit"],
        )
    read = read_text(text, settings.date_format)
    return Stamps(read.stamps, read.offset, "", read.problems, read.format)


def _across_midnight(read: LocalDates, settings: DataSettings) -> list[Problem]:
    """Stamps on both sides of midnight: for half of the year they lie on the day before the one they mean.

    Midnight in London, as UTC, is 0:00 in winter and 23:00 in summer; 4:00 UTC is the other way round in New York.
    """
    times = (read.local - read.local.dt.normalize())[read.local.notna()]
    fewer = min((times >= _EVENING).sum(), (times < _MORNING).sum())
    if settings.opens_on_eve is False or fewer < max(_FEWEST, _BOTH * len(times)):
        return []
    evening, morning = times[times >= _EVENING].iloc[0], times[times < _MORNING].iloc[0]
    way = (
        f"set data.timezone, now {settings.timezone}, to the zone of the exchange"
        if read.by_timezone
        else "write the dates of the exchange, without times"
    )
    text = (
        f"its stamps lie on both sides of midnight, e.g. {_clock(evening)} and {_clock(morning)}, as one hour does in "
        f"another zone's summer and winter, so some dates are a day early: {way}, or keep them as they are with "
        "--set data.opens_on_eve=false"
    )
    return [Problem("both sides of midnight", text)]


def _clock(time: pd.Timedelta) -> str:
    return f"{time.components.hours}:{time.components.minutes:02}"


def _wrong_week(days: NDArray[np.datetime64], read: LocalDates, settings: DataSettings) -> list[Problem]:
    """A week that no market has: bars stamped on the evening before their day, or read in a wrong zone.

    Only rows whose time of day leaves their date open are judged: a date alone is what it says.
    """
    sure = ~np.isnat(days)
    if settings.opens_on_eve is False or not sure.any():
        return []
    share = np.bincount(days_of_week(days[sure]), minlength=7) / sure.sum()
    early = share[6] > _DAYS and share[4] + share[5] < _HARDLY
    late = share[5] > _DAYS and share[0] + share[6] < _HARDLY
    zone = f"data.timezone, now {settings.timezone}, to the zone of the exchange"
    if settings.opens_on_eve and late:
        text = (
            f"with data.opens_on_eve {share[5]:.0%} of its dates are Saturdays and hardly one a Monday, so its bars "
            "are not stamped on the evening before: remove data.opens_on_eve"
        )
    elif settings.opens_on_eve or read.open_day[sure].mean() < 0.5 or not (early or late):
        return []
    elif early:
        text = (
            f"{share[6]:.0%} of its dates would be Sundays and hardly one a Friday: its bars seem to be stamped on the "
            "evening before their day; --set data.opens_on_eve=true gives each the next day, false keeps Sundays"
        ) + (f"; or set {zone}" if read.by_timezone else "")
    else:
        text = f"{share[5]:.0%} of its dates would be Saturdays and hardly one a Monday" + (
            f": set {zone}, or keep them with --set data.opens_on_eve=false"
            if read.by_timezone
            else "; if they are right, --set data.opens_on_eve=false keeps them"
        )
    return [Problem("wrong week", text)]
