"""The date column of a table: many ways of writing a day, one array of days."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.config.run import DataSettings
from model_core.data.problems import Problem, at_rows
from model_core.errors import SettingsError

_FORMATS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%b-%Y", "%b %d, %Y", "%d %b %Y", "%Y%m%d")
"""Tried in this order when dates are not ISO: of two that read as many rows, the first."""
_TRIED_ROWS = 500
"""Rows on which the formats are compared."""
_ISO = "ISO8601"
_ZONED = r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$"
_MIDNIGHT = pd.Timedelta(0)


@dataclass(frozen=True)
class Days:
    """The days of a date column, and what was found while reading them."""

    days: NDArray[np.datetime64]
    """[R] datetime64[D], NaT where a row has none."""
    problems: list[Problem]
    notes: list[dict[str, Any]]


def read_days(column: pd.Series, settings: DataSettings) -> Days:
    """Read a date column: dates, timestamps with or without a time zone, or text.

    Raises:
        SettingsError: ``data.date_format`` or ``data.timezone`` cannot be used.
    """
    text = column.astype(object).map(lambda value: "" if pd.isna(value) else str(value).strip())
    problems: list[Problem] = []
    if pd.api.types.is_datetime64_any_dtype(column):
        stamps: pd.Series = column
    else:
        stamps, problems = _parsed(text, settings)
    notes: list[dict[str, Any]] = []
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        stamps, message = _exchange_dates(stamps, settings)
        notes.append(
            {"code": "timezone", "count": int(stamps.notna().sum()), "message": message, "examples": []}
        )
    days = stamps.to_numpy().astype("datetime64[D]")
    bad = np.flatnonzero(np.isnat(days)).tolist()
    for row in bad:
        written = text.iloc[row]
        problems.append(
            Problem("no date", f"{written!r} is no date" if written else "the date is missing", row)
        )
    return Days(days, problems, notes)


def _parsed(text: pd.Series, settings: DataSettings) -> tuple[pd.Series, list[Problem]]:
    """Timestamps of a text column (in UTC if it names zones), and rows whose zone is missing."""
    zoned = text.str.contains(_ZONED, regex=True).to_numpy(dtype=bool)
    written = text.ne("").to_numpy(dtype=bool)
    pattern = settings.date_format or _guessed(text[written])
    try:
        if zoned.any():
            stamps = pd.to_datetime(text, format=pattern, errors="coerce", utc=True)
        else:
            stamps = pd.to_datetime(text, format=pattern, errors="coerce")
    except ValueError as error:
        raise SettingsError(
            f"data.date_format {pattern!r} cannot read dates ({error}); write it with Python's strftime codes, "
            'e.g. "%d.%m.%Y"'
        ) from error
    lacking = written & ~zoned if zoned.any() else np.zeros(len(text), dtype=bool)
    return stamps, at_rows("the date has no time zone, but other rows have one", lacking)


def _guessed(text: pd.Series) -> str:
    """ISO, or the one of the known formats that reads the most rows."""
    if len(text) == 0 or text.str.match(r"\d{4}-").mean() > 0.5:
        return _ISO
    sample = text.iloc[:: max(1, len(text) // _TRIED_ROWS)]
    reads = {f: int(pd.to_datetime(sample, format=f, errors="coerce").notna().sum()) for f in _FORMATS}
    return max(_FORMATS, key=lambda f: reads[f])


def _exchange_dates(stamps: pd.Series, settings: DataSettings) -> tuple[pd.Series, str]:
    """Dates at the exchange of moments in time, and a sentence that says how.

    Timestamps that all stand at midnight of their own zone are days, not moments: moved to another zone
    they would all become the evening before.
    """
    utc = stamps.dt.tz_convert("UTC")
    for zone in dict.fromkeys((stamps.dt.tz, "UTC")):
        own = utc.dt.tz_convert(zone)
        if ((own - own.dt.normalize()).dropna() == _MIDNIGHT).all():
            return own.dt.tz_localize(None), f"dates stand at midnight {zone} and were taken as days"
    return (
        utc.dt.tz_convert(_exchange_zone(settings)).dt.tz_localize(None),
        f"dates with a time zone were converted to the date in {settings.timezone}",
    )


def _exchange_zone(settings: DataSettings) -> ZoneInfo:
    try:
        return ZoneInfo(settings.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"data.timezone {settings.timezone!r} is no time zone; write one like America/New_York or UTC"
        ) from error
