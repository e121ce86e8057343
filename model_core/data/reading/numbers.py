"""Numbers as people write them: decimal point or comma, groups of three digits, one way for a whole table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.config.table import FormatSettings
from model_core.data.reading.currency import without_currency
from model_core.data.reading.problems import among, mostly, shown_value
from model_core.data.reading.warnings import note
from model_core.errors import Problem
from model_core.results.quality import TableWarning

_SPACES = re.compile("[\u00a0\u202f\u2009]")
_GROUPED_BY_SPACES = r"[+-]?\d{1,3}(?:([ '])\d{3})(?:\1\d{3})*(?:[.,]\d*)?"
_SWISS = "\u2019"
"""What a word processor makes of the mark ' of thousands."""
_OTHER = {".": ",", ",": "."}
_CROSSING = 50.0
"""Whole numbers this much larger than those with a point: the point is a thousands separator (699, 1.353)."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of some columns of a table."""

    values: NDArray[np.float64]
    """[R, C] NaN where a column is missing or a value is not a number."""
    problems: list[Problem]
    notes: list[TableWarning] = field(default_factory=list)
    reading: dict[str, str] = field(default_factory=dict)
    """How they were written, for people; empty for columns of real numbers."""


@dataclass(frozen=True)
class _Marks:
    decimal: str = "."
    thousands: str = ""
    problem: Problem | None = None
    warning: str = ""


def read_numbers(
    frame: pd.DataFrame, columns: Mapping[str, str], names: Sequence[str], settings: FormatSettings
) -> Numbers:
    """The values of the columns that our ``names`` stand for, and the problems row by row.

    Args:
        columns: our name → the table's column.
    """
    texts, currency = without_currency(
        {name: _text(frame[columns[name]]) for name in names if name in columns}
    )
    plain = {
        name: pd.to_numeric(frame[columns[name]] if text is None else text, errors="coerce")
        for name, text in texts.items()
    }
    written = [text for text in texts.values() if text is not None]
    numeric = [plain[name] for name, text in texts.items() if text is not None]
    marks = _marks(written, numeric, settings) if written else _Marks()
    values = np.full((len(frame), len(names)), np.nan)
    problems = [] if marks.problem is None else [marks.problem]
    for position, name in enumerate(names):
        if name not in columns:
            continue
        raw, text = frame[columns[name]], texts[name]
        read = plain[name] if text is None else _converted(text, plain[name], marks)
        numbers = read.to_numpy(dtype=np.float64, na_value=np.nan)
        values[:, position] = numbers
        if not marks.problem:
            problems += _unread(name, raw, np.flatnonzero(~np.isfinite(numbers)).tolist())
    notes = [note("three_decimals", len(frame), marks.warning)] if marks.warning else []
    if currency:
        notes.append(note("currency", len(frame), f"{currency} next to the prices was left out"))
    reading = {"decimal": marks.decimal, "thousands": marks.thousands or "none"} if written else {}
    return Numbers(values, problems, notes, reading)


def _unread(name: str, raw: pd.Series, rows: list[int]) -> list[Problem]:
    """A problem for each row whose number cannot be read, or one for the column if they are most of its rows."""
    said = [
        f"{name} is {'missing' if pd.isna(raw.iloc[row]) else shown_value(raw.iloc[row])}, not a number"
        for row in rows
    ]
    if mostly(rows, len(raw)):
        text = (
            f"{said[0]}, in {among(rows, len(raw))}; write numbers like 1234.5, or "
            f"name another column, --set 'data.columns={{{name}: its name}}'"
        )
        return [Problem(f"{name} is unreadable", text)]
    return [Problem(f"{name} is not a number", text, row) for row, text in zip(rows, said, strict=True)]


def _text(column: pd.Series) -> pd.Series | None:
    """A column of text without spaces around its values; ``None`` for a column of real numbers."""
    if pd.api.types.is_bool_dtype(column):
        return column.map(str).astype("string")  # which is not a number, as in CSV
    if pd.api.types.is_numeric_dtype(column):
        return None
    if not isinstance(column.dtype, pd.StringDtype) and not any(isinstance(value, str) for value in column):
        return None
    text = column.astype("string").str.strip()
    return text.str.replace(_SWISS, "'", regex=False)


def _marks(written: Sequence[pd.Series], plain: Sequence[pd.Series], settings: FormatSettings) -> _Marks:
    """The decimal and thousands marks of a table, by its settings or by all of its numbers.

    Args:
        plain: the same as numbers, where they are plain ones.
    """
    thousands = settings.thousands
    if settings.decimal is not None:
        return _Marks(settings.decimal, thousands or _OTHER[settings.decimal])
    if thousands in _OTHER:
        return _Marks(_OTHER[thousands], thousands)
    unread = [text[number.isna()] for text, number in zip(written, plain, strict=True)]
    odd = pd.concat(unread).dropna().unique()
    numeric = [value for value in map(str, odd) if re.fullmatch(r"[+-]?[\d.,' \u00a0\u202f\u2009]*\d", value)]
    spaced = any(re.fullmatch(_GROUPED_BY_SPACES, _SPACES.sub(" ", value)) for value in numeric)
    group = thousands or (_spacing(numeric) if spaced else "")
    bare = [_SPACES.sub(" ", value).replace(group, "") if group else value for value in numeric]
    if not any("," in value or value.count(".") > 1 for value in bare):
        return _Marks(".", group, *_three_decimals(written)) if not group else _Marks(".", group)
    points = [text[number.notna()] for text, number in zip(written, plain, strict=True)]
    pointed = pd.concat(points)
    return _with_commas(bare, pointed[pointed.str.contains(".", regex=False)], group)


def _spacing(numeric: Sequence[str]) -> str:
    return "'" if any("'" in value for value in numeric) else " "


def _with_commas(odd: Sequence[str], pointed: pd.Series, group: str) -> _Marks:
    """Marks of a table in which some values hold commas, or several points.

    Args:
        odd: the values that are not plain numbers.
        pointed: those with one point, which are.
        group: a mark of thousands that was taken out already.
    """
    last = {max(".,", key=value.rfind) for value in odd if "." in value and "," in value}
    if len(last) == 1:
        decimal = last.pop()
        return _Marks(decimal, group or _OTHER[decimal])
    if last:
        return _Marks()  # both occur: one of the two is named row by row as no number
    if group:
        return _Marks(",", group)
    if any(value.count(".") > 1 for value in odd):
        return _Marks(",", ".")
    commas_group = all(re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", value) for value in odd)
    points_group = bool(pointed.str.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}").all())
    if not commas_group:
        return _Marks(",", ".") if points_group else _Marks()
    if any(value.count(",") > 1 for value in odd) or not points_group:
        return _Marks(".", ",")
    text = (
        f"its numbers fit two readings: {odd[0]!r} may be {odd[0].replace(',', '')} or {odd[0].replace(',', '.')}; "
        "--set data.format.thousands=, takes the first, --set data.format.decimal=, the second"
    )
    return _Marks(problem=Problem("ambiguous numbers", text))


def _three_decimals(written: Sequence[pd.Series]) -> tuple[Problem | None, str]:
    """Whether points may group thousands: each has exactly three digits after it, and one to three before."""
    values = pd.concat(list(written)).dropna()
    # One number that is written otherwise settles it, and in most tables the first few do.
    for part in (values.iloc[:50], values):
        pointed = part[part.str.contains(".", regex=False)]
        if not pointed.str.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}").all():
            return None, ""
    if pointed.empty:
        return None, ""
    whole = pd.to_numeric(values[~values.str.contains(".", regex=False)], errors="coerce").abs().median()
    typical = float(pd.to_numeric(pointed, errors="coerce").abs().median())
    if pd.notna(whole) and whole > _CROSSING * typical:
        text = (
            f"its points seem to separate thousands, not decimals: {pointed.iloc[0]!r} beside whole numbers around "
            f"{whole:g}; --set data.format.thousands=. reads them that way, --set data.format.decimal=. as they are"
        )
        return Problem("points that group", text), ""
    if pd.notna(whole):
        return None, ""
    return None, (
        f"every price has exactly three digits after its point ({pointed.iloc[0]}): read as decimals; if the point "
        "separates thousands, set data.format.thousands to it"
    )


def _converted(text: pd.Series, plain: pd.Series, marks: _Marks) -> pd.Series:
    """Numbers of text by a strict grammar: what does not fit it is NaN, never something else."""
    if marks.decimal == "." and (not marks.thousands or plain.notna().all()):
        return plain
    decimal = re.escape(marks.decimal)
    group = re.escape(marks.thousands) if marks.thousands else "(?!)"
    grammar = (
        rf"[+-]?(?:\d+|\d{{1,3}}(?:{group}\d{{3}})+)(?:{decimal}\d*)?(?:[eE][+-]?\d+)?|[+-]?{decimal}\d+"
    )
    spaced = text.str.replace(_SPACES, " ", regex=True)
    fits = spaced.str.fullmatch(grammar).fillna(False).astype(bool)
    bare = spaced.where(fits)
    if marks.thousands:
        bare = bare.str.replace(marks.thousands, "", regex=False)
    return pd.to_numeric(bare.str.replace(marks.decimal, ".", regex=False), errors="coerce")
