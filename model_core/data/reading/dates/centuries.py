"""Years of two digits: read as 1969 … 2068, unless the rows themselves speak against it."""

import datetime as dt
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.data.calendar import days_of_week
from model_core.data.reading.problems import shown_value
from model_core.errors import Problem

_AHEAD = pd.Timedelta(days=370)
"""Nobody has prices of a day to come; a year more, for clocks that are wrong and calendars that run ahead."""
_TRADED, _HARDLY = 0.1, 0.02
"""Shares of the rows on one day of the week: it has at least 1/7 of them if it is a trading day."""
_SUNDAY = 6
_TWO_DIGITS = re.compile(r"%-?y")


def two_digit_years(pattern: str) -> bool:
    """Whether a strftime format writes years without their century."""
    return bool(_TWO_DIGITS.search(pattern.replace("%%", "")))


def in_the_future(days: pd.Series, written: pd.Series) -> list[Problem]:
    """Two digits leave the century open; nobody has prices of a day to come.

    Args:
        days: [R] as read, NaT where a row has none.
        written: [R] the dates as written in the table.
    """
    limit = pd.Timestamp(dt.datetime.now(tz=dt.UTC).date()) + _AHEAD
    later = np.flatnonzero((days > limit).to_numpy())
    if not len(later):
        return []
    lie = "lies" if len(later) == 1 else "lie"
    example = shown_value(written.iloc[later[0]])
    text = f"{len(later)} of its dates {lie} in the future, e.g. {example}: write years with four digits"
    return [Problem("years of two digits", text)]


def two_centuries(days: pd.Series, written: pd.Series, shown: str) -> list[Problem]:
    """Whether the rows may be a hundred years older than they were read.

    Weeks tell centuries apart: a market's Monday to Friday of 1925 are Sunday to Thursday of 2025. Where trading
    days fall on Sundays as read, and on none a century earlier, nobody but the writer knows which is meant.

    Args:
        days: [R] as read, NaT where a row has none.
        written: [R] the dates as written in the table.
        shown: the format as ``data.date_format`` would say it.
    """
    known = days.dropna()
    if known.empty:
        return []
    as_read, earlier = _week(known), _week(known - pd.DateOffset(years=100))
    seven_days = (as_read > _HARDLY).all()  # which it then has in any century
    if seven_days or as_read[_SUNDAY] < _TRADED or earlier[_SUNDAY] > _HARDLY:
        return []
    first, last = int(known.dt.year.min()), int(known.dt.year.max())
    example = shown_value(written.loc[known.index[0]])
    text = (
        f"its years have two digits, e.g. {example}, and fit two centuries: in {_span(first, last)} "
        f"{as_read[_SUNDAY]:.0%} of its dates are Sundays, in {_span(first - 100, last - 100)} hardly one; "
        f"write years with four digits, or say that {_span(first, last)} is meant with --set data.date_format={shown}"
    )
    return [Problem("years of two digits", text)]


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def _week(days: pd.Series) -> NDArray[np.float64]:
    """[7] share of the rows on Monday … Sunday."""
    week = days_of_week(days.to_numpy().astype("datetime64[D]"))
    return np.bincount(week, minlength=7) / len(week)
