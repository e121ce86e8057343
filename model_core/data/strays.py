"""Lines among or after the rows that are no rows of the table: a footer, a comment, a lone number."""

from collections.abc import Mapping, Sequence

import pandas as pd

from model_core.data.problems import Problem, shown_value


def without_strays(
    frame: pd.DataFrame, columns: Mapping[str, str], dates: Sequence[Problem], numbers: Sequence[Problem]
) -> list[Problem]:
    """The problems of dates and numbers, with one for each row that has neither a date nor a number.

    Args:
        columns: our name → the table's column.
        dates: problems of the date column.
        numbers: problems of the other columns.
    """
    undated = {problem.row for problem in dates if problem.row is not None}
    missing: dict[int, int] = {}
    for problem in numbers:
        if problem.row is not None:
            missing[problem.row] = missing.get(problem.row, 0) + 1
    wanted = len(columns) - 1
    strays = {row for row, count in missing.items() if row in undated and count == wanted > 1}
    kept = [problem for problem in [*dates, *numbers] if problem.row not in strays]
    return kept + [_stray(frame, row) for row in sorted(strays)]


def _stray(frame: pd.DataFrame, row: int) -> Problem:
    filled = frame.iloc[row].dropna()
    said = shown_value(str(filled.iloc[0])) if len(filled) else "nothing in it"
    text = f"not a row of the table ({said}); remove that line"
    return Problem("not a row of the table", text, row)
