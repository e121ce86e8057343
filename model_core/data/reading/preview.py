"""The first and last rows of a table beside what they were read as, for a person to look at."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.data.reading.problems import shown_value

_SHOWN = 3
"""Rows shown of either end."""


def rows_as_read(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    date: str,
    days: NDArray[np.datetime64],
    prices: NDArray[np.float64],
) -> dict[str, str]:
    """``row 1`` → what stands there as its date, the day it was read as, and the prices.

    Args:
        columns: our name → the table's column.
        date: our name of the date.
        days: [R] NaT where a row has none.
        prices: [R, T]
    """
    rows = range(len(frame))
    said = {}
    for row in dict.fromkeys([*rows[:_SHOWN], *rows[-_SHOWN:]]):
        day = "not read" if np.isnat(days[row]) else f"{pd.Timestamp(days[row]):%a %Y-%m-%d}"
        dated = (
            f"{shown_value(str(frame[columns[date]].iloc[row]))} → {day}" if date in columns else "no date"
        )
        values = " ".join(
            f"{name} {value:.10g}" if np.isfinite(value) else f"{name} –"
            for name, value in zip(TARGETS, prices[row].tolist(), strict=True)
        )
        said[f"row {row + 1}"] = f"{dated}  {values}"
    return said
