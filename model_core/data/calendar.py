"""Calendar features of dates, and the trading dates that follow a table."""

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


def calendar_features(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """[R, F] integers from 0 of each date; ``month_end`` marks the last weekday of a month.

    They depend on the date alone, never on the dates beside it, so they are known in advance.
    """
    index = pd.DatetimeIndex(dates)
    next_weekday = index + pd.offsets.BDay(1)
    month_end = next_weekday.month != index.month
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
    last: np.datetime64, count: int, holidays: Collection[dt.date] = ()
) -> NDArray[np.datetime64]:
    """[count] weekdays after ``last`` that are no holidays."""
    origin = np.full(count, last, dtype="datetime64[D]")
    return np.busday_offset(origin, np.arange(1, count + 1), roll="backward", holidays=sorted(holidays))
