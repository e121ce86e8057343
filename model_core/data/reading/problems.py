"""What is wrong with a table: every problem has a row, and one sentence names them all."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model_core.errors import Problem, SourceError, shortened

_IN_FULL = 10
"""Problems stated one by one; of the rest each kind is stated once, with the rows where it occurs."""
_STRETCHES = 3
"""Stretches of rows named for one kind; the rest are counted."""
_LONGEST = 60
"""Characters of a value that are shown."""


def refusal(
    uri: str,
    problems: Sequence[Problem],
    dates: NDArray[np.datetime64] | None,
    reading: Mapping[str, str] | None = None,
) -> SourceError:
    """The one error that lists every problem, those of the whole table first and then row by row."""
    ordered = sorted(problems, key=lambda problem: -1 if problem.row is None else problem.row)
    shown = [_sentence(problem, dates) for problem in ordered[:_IN_FULL]]
    rest = ordered[_IN_FULL:]
    if rest:
        shown.append(f"and {len(rest)} more: " + ", ".join(_by_kind(rest, dates)))
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    return SourceError(
        f"{uri} is refused for {count}: {'; '.join(shown)}; docs/data.md says what is expected",
        details=[_sentence(problem, dates) for problem in ordered] if rest else (),
        reading=reading,
        problems=ordered,
    )


def too_large(uri: str, what: str, limit: str, needed: int) -> SourceError:
    """The error for a table that exceeds the setting ``limit``, which would have to be ``needed``."""
    return SourceError(
        f"{uri} {what}, more than data.limits.{limit} allows; give a smaller table, or allow this one with "
        f"--set data.limits.{limit}={needed}"
    )


def shown_value(value: object) -> str:
    """A value as a message shows it, in quotes and not without end."""
    return shortened(repr(value.item() if isinstance(value, np.generic) else value), _LONGEST)


def row_name(row: int, dates: NDArray[np.datetime64] | None) -> str:
    """``row 3 (2010-01-06)``; data rows count from 1, and a row without a date goes without."""
    known = dates is not None and not np.isnat(dates[row])
    return f"row {row + 1}" + (f" ({dates[row]})" if known and dates is not None else "")


def at_rows(kind: str, rows: Iterable[int] | NDArray[np.bool_], text: str = "") -> list[Problem]:
    """The same problem in several rows, given by number or as a mask."""
    if isinstance(rows, np.ndarray):
        rows = np.flatnonzero(rows).tolist()
    return [Problem(kind, text or kind, row) for row in rows]


def mostly(rows: Sequence[int], total: int, share: float = 0.5) -> bool:
    """Whether enough rows share a problem for it to be one of their whole column."""
    return len(rows) > max(1, share * total)


def among(rows: Sequence[int], total: int) -> str:
    """``row 1 and 299 others of 300``."""
    others = len(rows) - 1
    return f"row {rows[0] + 1} and {others} other{'s' * (others != 1)} of {total}"


def _sentence(problem: Problem, dates: NDArray[np.datetime64] | None) -> str:
    return problem.text if problem.row is None else f"{row_name(problem.row, dates)}: {problem.text}"


def _by_kind(problems: Sequence[Problem], dates: NDArray[np.datetime64] | None) -> list[str]:
    rows: dict[str, list[int]] = {}
    for problem in problems:
        if problem.row is not None:
            rows.setdefault(problem.kind, []).append(problem.row)
    return [f"{kind} in {format_row_ranges(found, dates)}" for kind, found in rows.items()]


def format_row_ranges(rows: Sequence[int], dates: NDArray[np.datetime64] | None) -> str:
    """Rows as stretches: ``rows 21–300 (2010-02-01 … 2011-02-25) and row 400 (…)``; the first few."""
    stretches = np.split(np.array(rows), np.flatnonzero(np.diff(rows) > 1) + 1)
    ranges = []
    for stretch in stretches[:_STRETCHES]:
        first, last = int(stretch[0]), int(stretch[-1])
        unknown = dates is None or np.isnat(dates[first]) or np.isnat(dates[last])
        span = "" if unknown or dates is None else f" ({dates[first]} … {dates[last]})"
        ranges.append(row_name(first, dates) if first == last else f"rows {first + 1}–{last + 1}{span}")
    if len(stretches) > _STRETCHES:
        ranges.append(f"{sum(map(len, stretches[_STRETCHES:]))} more rows")
    return " and ".join(ranges)
