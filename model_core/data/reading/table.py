"""The quality gate: a table as found becomes a checked price table, or one error lists what is wrong."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, HIGH, LOW, OPEN, TARGETS
from model_core.config.data import DataSettings
from model_core.data.reading.dates.days import Days, read_days
from model_core.data.reading.dates.order import interchanged
from model_core.data.reading.dates.repeats import repeats, several_a_day
from model_core.data.reading.files.column_names import INDEX, column_name
from model_core.data.reading.files.encodings import WESTERN, other_encoding
from model_core.data.reading.numbers import read_numbers
from model_core.data.reading.preview import rows_as_read
from model_core.data.reading.problems import format_row_ranges, refusal, row_name
from model_core.data.reading.sources import SourceTable
from model_core.data.reading.strays import without_strays
from model_core.data.reading.warnings import find_warnings, note
from model_core.documents import parse_yaml
from model_core.errors import Problem, SettingsError, SourceError, shortened
from model_core.results.quality import TableWarning

DATE = "Date"
_DATE_NAMES = ("date", "datetime", "timestamp", "time", "day", "open_time", "open time")
_UNNAMED = (column_name(0).lower(), INDEX)
"""What a first column without a name is called here; it holds the dates if no other column does."""
_LISTED = 20
"""Columns named in a message; the rest are counted."""
_LONGEST_NAME = 60
_MAPPED = 8
"""Columns that an example of a map holds; a table that lacks more is of another layout."""
_CALLED = " (data.columns calls it "
"""Between our name and the mapped one that the table lacks."""
_FLOAT_NOISE = 1e-9
"""Relative: a float of 64 bits rounds at 1e-16, one of 32 bits read from text at 6e-8 is written that way."""


@dataclass(frozen=True)
class PriceTable:
    """Checked prices: ascending unique dates, every candle valid and positive."""

    dates: NDArray[np.datetime64]
    """[R]"""
    prices: NDArray[np.float64]
    """[R, T] Open, High, Low, Close."""
    warnings: tuple[TableWarning, ...]
    reading: Mapping[str, str]
    """How file, dates and numbers were understood, for people."""


def check_table(source: SourceTable, settings: DataSettings) -> PriceTable:
    """Check a market table and say everything that is odd about it.

    Raises:
        SourceError: one sentence that lists every problem with its row (data rows count from 1) and date.
        SettingsError: the column map, date format or time zone cannot be used.
    """
    columns, problems = find_columns(source, TARGETS, settings)
    days = read_rows(source, columns, settings)
    numbers = read_numbers(source.frame, columns, TARGETS, settings.format)
    prices, rounded = without_float_noise(numbers.values)
    days, rows = without_strays(source.frame, columns, days, numbers.problems)
    problems += [*rows, *_bad_prices(prices), *_bad_candles(prices)]
    order, unordered, sorting = order_of(days, settings)
    problems += [*unordered, *too_few_rows(len(source.frame), settings)]
    shown = rows_as_read(source.frame, columns, DATE, days.days, prices)
    reading = {**source.reading, **days.reading, **numbers.reading, **shown}
    if problems:
        raise refusal(source.uri, problems, days.days, reading)
    dates, prices = days.days[order], prices[order]
    notes = [*days.notes, *numbers.notes, *sorting, *_noise_notes(rounded, days.days)]
    return PriceTable(dates, prices, (*notes, *find_warnings(dates, prices)), reading)


def without_float_noise(prices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """[R, T] prices whose High and Low enclose the rest where only rounding kept them from it, and those rows.

    A High that lies below Close by its last binary digit comes of a division for splits, not of the market.
    """
    opens, highs, lows, closes = prices.T
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    short = (highs < top) & (highs >= top * (1 - _FLOAT_NOISE))
    long = (lows > bottom) & (lows <= bottom * (1 + _FLOAT_NOISE))
    widened = prices.copy()
    widened[short, HIGH] = top[short]
    widened[long, LOW] = bottom[long]
    return widened, np.flatnonzero(short | long)


def _noise_notes(rows: NDArray[np.intp], dates: NDArray[np.datetime64]) -> list[TableWarning]:
    if not len(rows):
        return []
    message = "High or Low missed Open or Close by less than rounding and was set to it"
    return [note("float_noise", len(rows), message, [row_name(row, dates) for row in rows[:5].tolist()])]


def find_columns(
    source: SourceTable, names: Sequence[str], settings: DataSettings
) -> tuple[dict[str, str], list[Problem]]:
    """Our name → the table's column, in any case, through the column map where there is one.

    Args:
        names: the columns wanted beside the date.

    Raises:
        SettingsError: the column map names a column that this project does not know.
    """
    mapped = _column_map((DATE, *names), settings.columns)
    present: dict[str, list[str]] = {}
    for column in map(str, source.frame.columns):
        present.setdefault(_plain_name(column), []).append(column)
    found: dict[str, str] = {}
    missing, problems = [], []
    for name in (DATE, *names):
        match = _matches(name, mapped.get(name), present)
        if len(match) > 1:
            text = (
                f"has {len(match)} columns for {name}: {', '.join(match[:_LISTED])}; choose one, e.g. --set "
                f"'data.columns={{{name}: {match[0]}}}'"
            )
            problems.append(Problem("ambiguous", text))
        elif match:
            found[name] = match[0]
        else:
            missing.append(name + (f"{_CALLED}{mapped[name]})" if name in mapped else ""))
    if missing:
        problems.append(Problem("missing column", _missing(missing, source, mapped)))
    return found, problems


def _matches(name: str, wanted: str | None, present: Mapping[str, list[str]]) -> list[str]:
    """The table's columns that one of ours may mean: as mapped (exactly, else in any case), or by its name."""
    if wanted is not None:
        same = [
            column for columns in present.values() for column in columns if column.strip() == wanted.strip()
        ]
        return same or present.get(_plain_name(wanted), [])
    for candidate in (*_DATE_NAMES, *_UNNAMED) if name == DATE else (name.lower(),):
        if found := present.get(candidate):
            return found
    return []


def _plain_name(column: str) -> str:
    """In lower case, without the brackets of MetaTrader 5 and the position that tells equal names apart."""
    return re.sub(r" \(column \d+\)$", "", column.strip().lower()).strip("<> ")


def _missing(names: Sequence[str], source: SourceTable, mapped: Mapping[str, str]) -> str:
    columns = list(map(str, source.frame.columns))
    listed = ", ".join(shortened(column, _LONGEST_NAME) for column in columns[:_LISTED]) or "none"
    more = f" and {len(columns) - _LISTED} more" if len(columns) > _LISTED else ""
    if len(names) > _LISTED:
        lacking = f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"
    else:
        lacking = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    advice = f"if a column has another name, give it, e.g. --set 'data.columns={{{_mapping(names, mapped)}}}'"
    if len(columns) == 1:
        advice += "; if another delimiter separates the columns, --set 'data.format.delimiter=…'"
    if source.reading.get("encoding") == WESTERN and (other := other_encoding(columns)):
        advice = f"{other}; {advice}"
    return f"lacks {lacking}; columns found: {listed}{more} ({advice})"


def _mapping(missing: Sequence[str], mapped: Mapping[str, str]) -> str:
    """The column map that names each missing column, and keeps what is mapped and there: a new map replaces the old."""
    wanted = [name.split(_CALLED)[0] for name in missing]
    if len(wanted) > _MAPPED:
        return f"{wanted[0]}: its name, …"
    kept = [f"{name}: {_as_yaml(theirs)}" for name, theirs in mapped.items() if name not in wanted]
    return ", ".join([*kept, *(f"{name}: its name" for name in wanted)])


def _as_yaml(name: str) -> str:
    """A column's name within a map that stands in single quotes in a shell."""
    if len(name) > _LONGEST_NAME:
        return "…"
    plain = re.fullmatch(r"[^\W\d][\w.-]*(?: [\w.-]+)*", name) and parse_yaml(name) == name
    return name if plain else json.dumps(name, ensure_ascii=False).replace("'", "\\u0027")


def _column_map(ours: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    by_lower = {name.lower(): name for name in ours}
    for name, theirs in columns.items():
        if name.lower() not in by_lower:
            close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)
            remedy = f"did you mean {by_lower[close[0]]}?"
            if turned := by_lower.get(theirs.lower()):
                remedy = f"our name comes first: --set 'data.columns={{{turned}: {_as_yaml(name)}}}'"
            raise SettingsError(
                f"data.columns.{name} is not a column that this layout needs; {remedy}",
                keys=[f"data.columns.{name}"],
            )
    return {by_lower[name.lower()]: theirs for name, theirs in columns.items()}


def read_rows(source: SourceTable, columns: Mapping[str, str], settings: DataSettings) -> Days:
    """The days of the table's rows; NaT everywhere, and no further complaint, without a date column.

    Raises:
        SourceError: the table has no rows.
    """
    if source.frame.empty:
        raise SourceError(f"{source.uri} has a header but no rows; give a table with one row per trading day")
    if DATE not in columns:
        return Days(np.full(len(source.frame), np.datetime64("NaT"), dtype="datetime64[D]"), [], [])
    return read_days(source.frame[columns[DATE]], settings)


def _bad_prices(prices: NDArray[np.float64]) -> list[Problem]:
    return [
        Problem(f"{target} is not above 0", f"{target} is {price:g}; prices must be above 0", row)
        for target, column in zip(TARGETS, prices.T, strict=True)
        for row, price in enumerate(column.tolist())
        if np.isfinite(price) and price <= 0
    ]


def _bad_candles(prices: NDArray[np.float64]) -> list[Problem]:
    """Rows whose High or Low does not enclose the rest; rows with a price missing or below 0 are not judged."""
    judged = (np.isfinite(prices) & (prices > 0)).all(axis=1)
    _, highs, lows, _ = prices.T
    below = judged & (highs < prices[:, [OPEN, CLOSE, LOW]].max(axis=1))
    above = judged & (lows > prices[:, [OPEN, CLOSE]].min(axis=1))
    found = []
    for row in np.flatnonzero(below).tolist():
        other, price = max(_named(prices[row], "Open", "Close", "Low"), key=lambda one: one[1])
        text = f"High {highs[row]:.10g} lies below {other} {price:.10g}"
        found.append(Problem("High below Open, Close or Low", text, row))
    for row in np.flatnonzero(above).tolist():
        other, price = min(_named(prices[row], "Open", "Close"), key=lambda one: one[1])
        text = f"Low {lows[row]:.10g} lies above {other} {price:.10g}"
        found.append(Problem("Low above Open or Close", text, row))
    return found


def _named(row: NDArray[np.float64], *names: str) -> list[tuple[str, float]]:
    return [(name, float(row[TARGETS.index(name)])) for name in names]


def order_of(
    days: Days, settings: DataSettings
) -> tuple[NDArray[np.intp], list[Problem], list[TableWarning]]:
    """Row numbers in ascending order of their dates, rows that must not stand where they do, and a note.

    Only ``data.sort`` allows another order than the table's own. Rows without a date are left out.
    """
    known = np.flatnonzero(~np.isnat(days.days))
    dates = days.days[known]
    steps = np.diff(dates).astype(np.int64)
    descents = known[1:][steps < 0].tolist()
    order = known[np.argsort(dates, kind="stable")]
    problems = repeats(days.days)
    if not descents:
        return known, problems, []
    if interchanged(dates):
        text = (
            "day and month are interchanged in some of its dates: with both readings they would be in order, as they "
            f"are {len(descents)} rows go back (first {row_name(descents[0], days.days)}); a spreadsheet that "
            "mistakes days for months leaves this; export the table again with dates as 2018-12-31"
        )
        return known, [Problem("two ways of writing dates", text)], []
    if several_a_day(days.days):
        return known, problems, []
    if settings.sort:
        message = "rows were out of order and have been sorted by date, as data.sort asks"
        examples = [row_name(row, days.days) for row in descents[:5]]
        return order, problems, [note("sorted", len(descents), message, examples)]
    if (steps <= 0).all():
        text = "its newest row comes first; --set data.sort=true puts the oldest first"
    else:
        where = format_row_ranges(descents, days.days)
        text = f"dates are not ascending ({where}); put its rows in the order of their dates"
    return known, [Problem("dates are not ascending", text), *problems], []


def too_few_rows(rows: int, settings: DataSettings) -> list[Problem]:
    """A table that cannot hold a window of each split, however it is split."""
    window = settings.window
    needed = max(window.seq_len, settings.scale_rows) + 3 * window.pred_len
    if rows >= needed:
        return []
    text = (
        f"has {rows} row{'s' * (rows != 1)}, too few for one train window of {window.seq_len} known and "
        f"{window.pred_len} forecast rows and one window each of validation and test; at least {needed} are needed"
    )
    return [Problem("too few rows", text)]
