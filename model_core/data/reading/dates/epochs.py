"""Dates written as one number: seconds, milliseconds, … since 1970, or the day numbers of a spreadsheet."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.data.reading.dates.text import DESCRIBE
from model_core.errors import Problem

_PER_DAY = {"s": 86_400.0, "ms": 86_400e3, "us": 86_400e6, "ns": 86_400e9, "excel": 1.0}
_UNITS = ("s", "ms", "us", "ns")
_FIRST, _LAST = -25_567.0, 47_482.0
"""1900-01-01 and 2100-01-01 in days since 1970-01-01."""
_EXCEL_ZERO = -25_569.0
"""1899-12-30, day 0 of a spreadsheet, in days since 1970-01-01."""
_SHORTEST_STEP, _LONGEST_STEP = 0.5, 40.0
"""Days from row to row, as a median, of a table that may be meant."""
_SHARE = 0.95
_LEAST, _LEAST_SECONDS = 10_000, 1e8
"""A spreadsheet's 1927, and 1973 in seconds: smaller numbers are not taken for dates, or for seconds, unasked."""
_UNITS_APART = 2.0
"""Powers of ten from row to row that no two dates in one unit lie apart; two units lie 3 apart."""
_COMPACT_FORMATS = {"%y%m%d": 6, "%d%m%y": 6, "%m%d%y": 6, "%Y%j": 7}
"""Ways of writing a day as one number → its digits."""
_COMPACT = (19_000_101, 21_001_231)
"""20181231 is a date as written."""


def epoch_numbers(column: pd.Series, text: pd.Series, wanted: str | None) -> NDArray[np.float64] | None:
    """[R] the numbers of a column that holds dates as numbers; ``None`` if it holds them otherwise."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_bool_dtype(column):
        return None
    written = text.ne("").to_numpy(dtype=bool)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(numbers[written])
    if not written.any() or known.mean() < _SHARE:
        return None
    values = numbers[written][known]
    if wanted is None and ((values >= _COMPACT[0]) & (values <= _COMPACT[1])).mean() >= _SHARE:
        return None
    if wanted is None and (np.median(np.abs(values)) < _LEAST or _eight_digits(text, written)):
        return None
    return numbers


def _eight_digits(text: pd.Series, written: NDArray[np.bool_]) -> bool:
    """31122018 is a date as written, too."""
    return bool(text[written].str.fullmatch(r"\d{8}").mean() >= _SHARE)


def epoch_days(
    numbers: NDArray[np.float64], text: pd.Series, wanted: str | None
) -> tuple[pd.Series, str, list[Problem]]:
    """Moments in UTC (naive), and the unit: the one setting, or the only one that gives plausible daily dates."""
    known = numbers[np.isfinite(numbers)]
    if wanted is not None:
        return _moments(numbers, wanted), wanted, []
    if problems := _two_units(numbers):
        return _moments(np.full(len(numbers), np.nan), "s"), "none", problems
    fitting = [unit for unit in _PER_DAY if _plausible(known, unit)] or _within_days(known)
    if fitting and fitting != ["excel"]:
        return _moments(numbers, fitting[0]), fitting[0], []
    nothing = pd.Series(pd.NaT, index=range(len(numbers)), dtype="datetime64[us]")
    example = f"{known[0]:.0f}"
    if fitting:
        day = str(_moments(known[:1], "excel").iloc[0])[:10]
        said = (
            f"its dates are numbers like {example}, the day numbers of a spreadsheet (then {day})?; --set "
            "data.format.epoch_unit=excel if so; otherwise write dates like 2018-12-31"
        )
    else:
        said = (
            f"its dates are numbers like {example}, which are not daily dates in any unit of time since 1970; "
            f"{_remedy(known, text)}"
        )
    return nothing, "none", [Problem("dates as numbers", said)]


def _within_days(known: NDArray[np.float64]) -> list[str]:
    """The unit in which the numbers are moments from 1973 to 2100, several a day; no two units share these years."""
    for unit in _UNITS:
        days = known / _PER_DAY[unit]
        if days.min() >= _LEAST_SECONDS / _PER_DAY["s"] and days.max() <= _LAST:
            return [unit] if len(days) > 1 and np.median(np.abs(np.diff(days))) < _SHORTEST_STEP else []
    return []


def _remedy(known: NDArray[np.float64], text: pd.Series) -> str:
    """The settings that may read the numbers: a compact way of writing days in order, else the units that fit."""
    written = text[text.ne("")]
    fitting = []
    for pattern, digits in _COMPACT_FORMATS.items():
        days = pd.to_datetime(written.where(written.str.len() == digits), format=pattern, errors="coerce")
        steps = days.dropna().diff().dropna().dt.days
        if days.notna().mean() >= _SHARE and ((steps > 0).all() or (steps < 0).all()):
            first = f"{days.dropna().iloc[0]:%Y-%m-%d}"
            fitting.append(f"--set data.date_format={pattern} (the first is {first} then)")
    if fitting:
        return "write dates like 2018-12-31, or say how they are written: " + " or ".join(fitting)
    units = [unit for unit in _UNITS if _possible(known / _PER_DAY[unit])]
    if units:
        others = f" (or {', '.join(units[1:])})" if units[1:] else ""
        return (
            f"write dates like 2018-12-31, or say which with --set data.format.epoch_unit={units[0]}{others}"
        )
    return DESCRIBE


def _possible(days: NDArray[np.float64]) -> bool:
    """Whether the days since 1970 are of this calendar, and not all within a few days."""
    steps = np.abs(np.diff(days))
    return bool(
        days.min() >= _FIRST and days.max() <= _LAST and len(steps) and np.median(steps) >= _SHORTEST_STEP
    )


def _two_units(numbers: NDArray[np.float64]) -> list[Problem]:
    """Dates that go on in another unit, as Binance's milliseconds went on in microseconds in 2025."""
    rows = np.flatnonzero(np.abs(numbers) >= _LEAST_SECONDS)
    sizes = np.log10(np.abs(numbers[rows]))
    breaks = np.flatnonzero(np.abs(np.diff(sizes)) >= _UNITS_APART)
    if not len(breaks):
        return []
    before, after = rows[breaks[0]], rows[breaks[0] + 1]
    text = (
        f"its dates are numbers of two sizes, e.g. {numbers[before]:.0f} in row {before + 1} and "
        f"{numbers[after]:.0f} in row {after + 1}, as if their unit changed; write all of them in one"
    )
    return [Problem("dates as numbers", text)]


def _plausible(known: NDArray[np.float64], unit: str) -> bool:
    days = known / _PER_DAY[unit] + (_EXCEL_ZERO if unit == "excel" else 0.0)
    if days.min() < _FIRST or days.max() > _LAST:
        return False
    if unit == "s" and np.median(np.abs(known)) < _LEAST_SECONDS:
        return False
    step = float(np.median(np.abs(np.diff(days)))) if len(days) > 1 else 1.0
    return _SHORTEST_STEP <= step <= _LONGEST_STEP


def _moments(numbers: NDArray[np.float64], unit: str) -> pd.Series:
    days = numbers / _PER_DAY[unit] + (_EXCEL_ZERO if unit == "excel" else 0.0)
    days = np.where((days >= _FIRST) & (days <= _LAST), days, np.nan)
    milliseconds = np.round(days * 86_400e3)
    stamps = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[ms]")
    sure = np.isfinite(milliseconds)
    stamps[sure] = milliseconds[sure].astype(np.int64).astype("datetime64[ms]")
    return pd.Series(stamps)
