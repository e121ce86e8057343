"""Days that several rows of a table share: a mistake in a row or two, or a table of something else than days."""

import numpy as np
from numpy.typing import NDArray

from model_core.data.reading.problems import at_rows
from model_core.errors import Problem

_MISTAKES = 10
"""Up to this number, rows are taken for mistakes and named one by one."""


def repeated_rows(days: NDArray[np.datetime64]) -> list[int]:
    """Rows whose day an earlier row has, ascending.

    Args:
        days: [R] NaT where a row has none.
    """
    known = np.flatnonzero(~np.isnat(days))
    order = known[np.argsort(days[known], kind="stable")]
    return [int(row) for row in np.sort(order[1:][np.diff(days[order]) == np.timedelta64(0, "D")])]


def several_a_day(days: NDArray[np.datetime64]) -> bool:
    """Whether too many rows share their day with another for it to be a mistake."""
    return len(repeated_rows(days)) > _MISTAKES


def repeats(days: NDArray[np.datetime64]) -> list[Problem]:
    """Each row whose day occurs twice, or one sentence if the table holds several rows a day."""
    again = repeated_rows(days)
    if len(again) <= _MISTAKES:
        return at_rows("this date occurs twice", again)
    shared = np.unique(days[again])
    first, second = np.flatnonzero(days == shared[0])[:2].tolist()
    text = (
        f"{len(shared)} of its dates have several rows, the first of them {shared[0]} (rows {first + 1} and "
        f"{second + 1}); give one row per trading day: combine bars within a day into one, keep one ticker of "
        "several"
    )
    return [Problem("several rows a day", text)]
