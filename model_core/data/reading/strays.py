"""Lines among or after the rows that are not rows of the table: a footer, a comment, a lone number."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from model_core.data.reading.dates.days import Days
from model_core.data.reading.problems import shown_value
from model_core.errors import Problem


def without_strays(
    frame: pd.DataFrame, columns: Mapping[str, str], days: Days, numbers: Sequence[Problem]
) -> tuple[Days, list[Problem]]:
    """Days and all problems of the rows, with one problem and no day for each row that does not belong to the table.

    Such a row has no number, and no date either or nothing but what stands in its one cell.

    Args:
        columns: our name → the table's column.
        numbers: problems of the columns beside the date.
    """
    undated = {problem.row for problem in days.problems if problem.row is not None}
    missing: dict[int, int] = {}
    for problem in numbers:
        if problem.row is not None:
            missing[problem.row] = missing.get(problem.row, 0) + 1
    wanted = len(columns) - 1
    alone = (frame.notna().sum(axis=1) <= 1).to_numpy()
    strays = sorted(
        row for row, count in missing.items() if count == wanted > 1 and (row in undated or alone[row])
    )
    if not strays:
        return days, [*days.problems, *numbers]
    dates = days.days.copy()
    dates[strays] = np.datetime64("NaT")
    kept = [problem for problem in [*days.problems, *numbers] if problem.row not in strays]
    return replace(days, days=dates), kept + [_stray(frame, row) for row in strays]


def _stray(frame: pd.DataFrame, row: int) -> Problem:
    filled = frame.iloc[row].dropna()
    said = shown_value(str(filled.iloc[0])) if len(filled) else "nothing in it"
    text = f"not a row of the table ({said}); remove that line"
    return Problem("not a row of the table", text, row)
