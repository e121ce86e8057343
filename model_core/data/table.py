"""The quality gate: a table as found becomes a checked price table, or one error lists what is wrong."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.run import DataSettings
from model_core.data.dates import Days, read_days
from model_core.data.oddities import note, oddities
from model_core.data.problems import Problem, at_rows, refusal, row_name, runs
from model_core.data.sources import SourceTable
from model_core.errors import SettingsError, SourceError

DATE = "Date"
_DATE_NAMES = ("date", "datetime", "timestamp", "time", "day")


@dataclass(frozen=True)
class PriceTable:
    """Checked prices: ascending unique dates, every candle valid and positive."""

    dates: NDArray[np.datetime64]
    """[R]"""
    prices: NDArray[np.float64]
    """[R, T] Open, High, Low, Close."""
    warnings: tuple[dict[str, Any], ...]
    """Each with ``code``, ``count``, ``message`` and a few ``examples``."""


def check_table(source: SourceTable, settings: DataSettings) -> PriceTable:
    """Check a market table and say everything that is odd about it.

    Raises:
        SourceError: one sentence that lists every problem with its row (data rows count from 1) and date.
        SettingsError: the column map, date format or time zone cannot be used.
    """
    columns, problems = find_columns(source.frame, TARGETS, settings)
    days = read_rows(source, columns, settings)
    prices, bad_prices = read_numbers(source.frame, columns, TARGETS)
    problems += [*days.problems, *bad_prices, *_bad_prices(prices), *_bad_candles(prices)]
    order, unordered, sorting = order_of(days, settings)
    problems += [*unordered, *too_few_rows(len(source.frame), settings)]
    if problems:
        raise refusal(source.uri, problems, days.days)
    dates, prices = days.days[order], prices[order]
    return PriceTable(dates, prices, (*days.notes, *sorting, *oddities(dates, prices)))


def find_columns(
    frame: pd.DataFrame, names: Sequence[str], settings: DataSettings
) -> tuple[dict[str, str], list[Problem]]:
    """Our name → the table's column, in any case, through the column map where there is one.

    Args:
        names: the columns wanted beside the date.

    Raises:
        SettingsError: the column map names a column that is none of ours.
    """
    mapped = _column_map((DATE, *names), settings.columns)
    present: dict[str, list[str]] = {}
    for column in map(str, frame.columns):
        present.setdefault(column.strip().lower(), []).append(column)
    found: dict[str, str] = {}
    missing, problems = [], []
    for name in (DATE, *names):
        wanted = [mapped[name]] if name in mapped else _DATE_NAMES if name == DATE else [name.lower()]
        match = next((present[candidate] for candidate in wanted if candidate in present), [])
        if len(match) > 1:
            problems.append(Problem("ambiguous", f"has {len(match)} columns for {name}: {', '.join(match)}"))
        elif match:
            found[name] = match[0]
        else:
            missing.append(name + (f" (data.columns calls it {mapped[name]})" if name in mapped else ""))
    if missing:
        listed = ", ".join(map(str, frame.columns)) or "none"
        problems.append(
            Problem(
                "missing column",
                f"lacks {' and '.join(missing)}; columns found: {listed} (name them with data.columns)",
            )
        )
    return found, problems


def _column_map(ours: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    by_lower = {name.lower(): name for name in ours}
    for name in columns:
        if name.lower() not in by_lower:
            close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)
            raise SettingsError(
                f"data.columns.{name} is no column that layout needs; did you mean {by_lower[close[0]]}?"
            )
    return {by_lower[name.lower()]: theirs.strip().lower() for name, theirs in columns.items()}


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


def read_numbers(
    frame: pd.DataFrame, columns: Mapping[str, str], names: Sequence[str]
) -> tuple[NDArray[np.float64], list[Problem]]:
    """[R, len(names)] values of the columns (NaN where one is missing or no number), and the problems."""
    values = np.full((len(frame), len(names)), np.nan)
    problems: list[Problem] = []
    for position, name in enumerate(names):
        if name not in columns:
            continue
        raw = frame[columns[name]]
        numbers = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        values[:, position] = numbers
        for row in np.flatnonzero(~np.isfinite(numbers)).tolist():
            shown = "missing" if pd.isna(raw.iloc[row]) else repr(raw.iloc[row])
            problems.append(Problem(f"{name} is no number", f"{name} is {shown}, not a number", row))
    return values, problems


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
    opens, highs, lows, closes = prices.T
    too_low = judged & (highs < np.maximum(np.maximum(opens, closes), lows))
    too_high = judged & (lows > np.minimum(opens, closes))
    return [
        *(
            Problem("High below Open, Close or Low", f"High {highs[i]:g} lies below Open, Close or Low", i)
            for i in np.flatnonzero(too_low).tolist()
        ),
        *(
            Problem("Low above Open or Close", f"Low {lows[i]:g} lies above Open or Close", i)
            for i in np.flatnonzero(too_high).tolist()
        ),
    ]


def order_of(
    days: Days, settings: DataSettings
) -> tuple[NDArray[np.intp], list[Problem], list[dict[str, Any]]]:
    """Row numbers in ascending order of their dates, rows that must not stand where they do, and a note.

    Only ``data.sort`` allows another order than the table's own. Rows without a date are left out.
    """
    known = np.flatnonzero(~np.isnat(days.days))
    dates = days.days[known]
    descents = known[1:][np.diff(dates) < np.timedelta64(0, "D")].tolist()
    order = known[np.argsort(dates, kind="stable")]
    again = np.sort(order[1:][np.diff(days.days[order]) == np.timedelta64(0, "D")]).tolist()
    problems = at_rows("this date occurs twice", again)
    if not descents:
        return known, problems, []
    if settings.sort:
        message = "rows were out of order and have been sorted by date, as data.sort asks"
        examples = [row_name(row, days.days) for row in descents[:5]]
        return order, problems, [note("sorted", len(descents), message, examples)]
    where = runs(descents, days.days)
    text = f"dates are not ascending ({len(descents)} such rows: {where}; --set data.sort=true sorts them)"
    return known, [Problem("dates are not ascending", text), *problems], []


def too_few_rows(rows: int, settings: DataSettings) -> list[Problem]:
    """A table that cannot hold a window of each split, however it is split."""
    window = settings.window
    needed = max(window.seq_len, settings.scale_rows) + 3 * window.pred_len
    if rows >= needed:
        return []
    text = (
        f"has {rows} rows, too few for one train window of {window.seq_len} known and {window.pred_len} forecast "
        f"rows and one window each of validation and test; at least {needed} are needed"
    )
    return [Problem("too few rows", text)]
