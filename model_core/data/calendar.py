"""The week of a market, calendar features of dates, and the trading dates that follow a table."""

import datetime as dt
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CALENDAR_FEATURES: tuple[tuple[str, int], ...] = (
    ("day_of_week", 7),
    ("day_of_month", 31),
    ("month", 12),
    ("week_of_year", 53),
    ("month_end", 2),
    ("quarter_end", 2),
)
"""Name and number of values of each feature, in column order."""


Week = tuple[bool, bool, bool, bool, bool, bool, bool]
"""Monday … Sunday: whether the market trades."""
WEEKDAYS: Week = (True, True, True, True, True, False, False)
_SHARE = 0.5
"""A day of the week on which a market trades in fewer of its weeks is a special session."""
_RECENT = np.timedelta64(364, "D")
"""The week of the last year counts: exchanges have changed theirs."""
_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def trading_week(dates: NDArray[np.datetime64]) -> Week:
    """The days of the week on which a market trades, seen from its own last year.

    Monday to Friday for a table without a week of its own, such as one with a row a month.

    Args:
        dates: [R] ascending days, at least one.
    """
    recent = dates[dates > dates[-1] - _RECENT]
    weeks = len(np.unique((recent.astype(np.int64) + 3) // 7))
    counts = np.bincount(days_of_week(recent), minlength=7)
    traded = (counts >= _SHARE * weeks).tolist()
    return tuple(traded) if any(traded) else WEEKDAYS


def days_of_week(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """[R] 0 for Monday … 6 for Sunday."""
    return (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7


def week_name(week: Week) -> str:
    """For people: ``Mon–Fri``, ``Sun–Thu``, ``every day``, or the days one by one."""
    traded = [day for day in range(7) if week[day]]
    if len(traded) == 7:
        return "every day"
    starts = [day for day in traded if not week[day - 1]]
    if len(starts) == 1 and len(traded) > 2:
        return f"{_NAMES[starts[0]]}–{_NAMES[(starts[0] + len(traded) - 1) % 7]}"
    return ", ".join(_NAMES[day] for day in traded)


def calendar_features(dates: NDArray[np.datetime64], week: Week = WEEKDAYS) -> NDArray[np.int64]:
    """[R, F] integers from 0 of each date; ``month_end`` marks the last trading day of a month.

    They depend on the date and the market's week alone, never on the dates beside it, so they are known in
    advance. Holidays are not: a month's last day of the week counts even if it is one.
    """
    index = pd.DatetimeIndex(dates)
    days = dates.astype("datetime64[D]")
    following = pd.DatetimeIndex(np.busday_offset(days, 1, roll="backward", weekmask=week))
    month_end = following.month != index.month
    quarter_end = month_end & (index.month % 3 == 0)
    columns = (
        index.day_of_week,
        index.day - 1,
        index.month - 1,
        index.isocalendar().week.to_numpy() - 1,
        month_end,
        quarter_end,
    )
    return np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)


def next_trading_dates(
    last: np.datetime64, count: int, holidays: Collection[dt.date] = (), week: Week = WEEKDAYS
) -> NDArray[np.datetime64]:
    """[count] days after ``last`` on which the market trades by its week, except for holidays."""
    origin = np.full(count, last, dtype="datetime64[D]")
    return np.busday_offset(
        origin, np.arange(1, count + 1), roll="backward", weekmask=week, holidays=sorted(holidays)
    )
