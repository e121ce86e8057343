"""Whether the order of a table betrays that day and month were taken for one another in some of its rows."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_FEWEST = 3
"""Rows that go back before anything is concluded from them: one or two may be out of order."""
_LAST_MONTH = 12


def interchanged(days: NDArray[np.datetime64]) -> bool:
    """Whether the days are out of order as written, but in order if day and month are exchanged in some.

    Args:
        days: [R] datetime64[D] without NaT, in the order of the table.
    """
    if min(int((np.diff(part) <= np.timedelta64(0, "D")).sum()) for part in (days, days[::-1])) < _FEWEST:
        return False
    other = _other_readings(days)
    numbers, others = days.astype(np.int64), other.astype(np.int64)
    return _can_ascend(numbers, others) or _can_ascend(numbers[::-1], others[::-1])


def _other_readings(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """[R] each day with day and month exchanged; the same day where that is not a date."""
    index = pd.DatetimeIndex(days)
    months = (index.year.to_numpy() - 1970) * 12 + index.day.to_numpy() - 1
    swapped = months.astype("datetime64[M]").astype("datetime64[D]") + (index.month.to_numpy() - 1)
    return np.where(index.day <= _LAST_MONTH, swapped, days)


def _can_ascend(days: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    """Whether one reading of each row can be chosen so that they ascend: the earliest that fits, row by row."""
    last = np.iinfo(np.int64).min
    for early, late in zip(np.minimum(days, others).tolist(), np.maximum(days, others).tolist(), strict=True):
        if late <= last:
            return False
        last = early if early > last else late
    return True
