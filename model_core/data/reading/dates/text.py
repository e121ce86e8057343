"""Dates as people write them: one format for a whole column, chosen by all of its rows or refused as ambiguous."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.data.reading.dates.centuries import in_the_future, two_centuries, two_digit_years
from model_core.data.reading.problems import shown_value
from model_core.errors import Problem, SettingsError

_PARTS = re.compile(
    r"(?P<date>.*?\S)"
    r"(?:(?:[T ,]\s*(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?)"
    r"|T(?P<compact>\d{4}(?:\d{2})?))"
    r"\s*(?P<zone>[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?(?:\[[\w/+-]+\])?)?"
)
"""A date, a time of day, and an offset from UTC; the name of a zone in brackets repeats the offset."""
_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]?\s+", re.IGNORECASE)
_MONTH = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_TIME_CODES = re.compile(r"%-?[HIMSpfTXcRr]")

# Shape of a date → the formats that may be meant. "-" stands for any of the marks that people use.
_SHAPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    (r"\d{8}", ("%Y%m%d", "%d%m%Y", "%m%d%Y")),
    (r"\d{1,2}-\d{1,2}-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
    (r"\d{1,2}-\d{1,2}-\d{2}", ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d")),
    (r"\d{1,2} [A-Za-z]{3} \d{4}", ("%d %b %Y",)),
    (r"[A-Za-z]{3} \d{1,2} \d{4}", ("%b %d %Y",)),
    (r"\d{4} [A-Za-z]{3} \d{1,2}", ("%Y %b %d",)),
    (r"\d{1,2} [A-Za-z]{3} \d{2}", ("%d %b %y", "%y %b %d")),
    (r"[A-Za-z]{3} \d{1,2} \d{2}", ("%b %d %y",)),
)
DESCRIBE = (
    "write dates like 2018-12-31, or describe them with --set 'data.date_format=…' in Python's strftime codes "
    "(%Y-%m-%d describes 2018-12-31)"
)
_FIRST_YEAR, _LAST_YEAR = 1800, 2100
"""What else is read as a year is not one."""
_FEW = 0.02
"""Up to this share of rows, those that the chosen format does not read are single mistakes, named one by one."""


@dataclass(frozen=True)
class Parts:
    """A column of text in its parts."""

    date: pd.Series
    time: pd.Series
    """Timedelta since midnight; 0 where no time is written, NaT where it is not a time."""
    offset: NDArray[np.float64]
    """[R] minutes from UTC, NaN where none is written."""


@dataclass(frozen=True)
class Read:
    """The local dates and times of a column of text, NaT where a row has none."""

    stamps: pd.Series
    offset: NDArray[np.float64]
    problems: list[Problem]
    format: str
    """As ``data.date_format`` would say it."""


def read_text(text: pd.Series, pattern: str | None) -> Read:
    """Read dates by ``pattern``, or by the one known format that fits the whole column.

    Raises:
        SettingsError: ``pattern`` is not a format, or reads none of the dates.
    """
    parts = _split(text)
    if pattern is not None:
        stamps = _by_setting(text, parts, pattern)
        problems = in_the_future(stamps, text) if two_digit_years(pattern) else []
        return Read(stamps, parts.offset, problems, pattern)
    days, problems, found = _by_shape(parts.date)
    return Read(days + parts.time, parts.offset, problems, found)


def _split(text: pd.Series) -> Parts:
    split = text.str.extract(_PARTS.pattern.replace(r"(?P<date>.*?\S)", r"^(?P<date>.*?\S)") + "$")
    times = split["time"].fillna("") + split["compact"].fillna("")
    return Parts(
        date=split["date"].fillna(""),
        # In nanoseconds no sum with a day before 1678 exists.
        time=pd.to_timedelta(_mapped(times, _time_of_day)).astype("timedelta64[us]"),
        offset=_mapped(split["zone"].fillna(""), _minutes).to_numpy(dtype=np.float64),
    )


def _mapped(text: pd.Series, read: Callable[[str], object]) -> pd.Series:
    """``read`` of each value, called once for each different one: most tables have only a few."""
    return text.map({value: read(value) for value in text.unique()})


def _time_of_day(written: str) -> object:
    """A Timedelta since midnight, or NaT if it is not a time of day."""
    if not written:
        return pd.Timedelta(0)
    bare = written.replace(".", "").replace(" ", "").upper() if written[-1] in "mM." else written
    half = bare[-2:] if bare[-2:] in ("AM", "PM") else ""
    numbers = bare.removesuffix(half).replace(",", ".").split(":")
    if len(numbers) == 1:
        numbers = [numbers[0][i : i + 2] for i in range(0, len(numbers[0]), 2)]
    hour, minute, second = int(numbers[0]), int(numbers[1]), float(numbers[2]) if len(numbers) > 2 else 0.0
    if half:
        hour = hour % 12 + 12 * (half == "PM") if 1 <= hour <= 12 else 99
    if hour > 23 or minute > 59 or second >= 61:
        return pd.NaT
    return pd.Timedelta(hours=hour, minutes=minute, seconds=second)


def _minutes(zone: str) -> float:
    if not zone:
        return np.nan
    if zone[0] not in "+-":
        return 0.0
    digits = zone[1:].replace(":", "")
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    return float(-minutes if zone[0] == "-" else minutes)


def _by_setting(text: pd.Series, parts: Parts, pattern: str) -> pd.Series:
    """Dates by ``data.date_format``; a time that it says nothing of is read as usual, and so is an offset."""
    example, key = next((value for value in text if value), ""), ["data.date_format"]
    if "%" not in pattern:
        raise SettingsError(
            f"data.date_format {pattern!r} contains no strftime code; write one like %d.%m.%Y", keys=key
        )
    bare = re.sub(r"\s*%[zZ]$", "", pattern)
    whole = _TIME_CODES.search(bare) is not None
    if whole:
        zone = (
            r"\s*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$"
            if bare != pattern
            else r"(?<=:\d\d)(?:[Zz]|[+-]\d{2}:?\d{2})$"
        )
        read = text.str.replace(zone, "", regex=True)
    else:
        read = parts.date
    try:
        stamps = pd.to_datetime(read, format=bare, errors="coerce")
    except ValueError as error:
        raise SettingsError(
            f"data.date_format {pattern!r} cannot read dates ({error}); write it with Python's strftime codes, "
            "e.g. %d.%m.%Y",
            keys=key,
        ) from error
    if stamps.isna().all() and not whole:
        # A date written without its weekday, and with one mark between its parts.
        stamps = pd.to_datetime(_canonical(parts.date)[0], format=bare, errors="coerce")
    if stamps.isna().all() and not whole:
        # The format describes the whole text, e.g. with a colon that looks like that of a time.
        stamps, whole = pd.to_datetime(text, format=bare, errors="coerce"), True
    if stamps.isna().all() and example:
        raise SettingsError(
            f"data.date_format {pattern!r} reads none of the dates, e.g. {shown_value(example)}", keys=key
        )
    return stamps if whole else stamps + parts.time


def _by_shape(dates: pd.Series) -> tuple[pd.Series, list[Problem], str]:
    """The days of a column, by the format that fits the shape most of its rows have."""
    plain, mark = _canonical(dates)
    forms = plain.map(lambda date: _DIGIT.sub("0", date))  # few different ones, so few to look at
    known = {shape: [form for form in forms.unique() if re.fullmatch(shape, form)] for shape, _ in _SHAPES}
    shaped = [(forms.isin(known[shape]).to_numpy(dtype=bool), formats) for shape, formats in _SHAPES]
    of_shape, formats = max(shaped, key=lambda one: int(one[0].sum()))
    written = dates.ne("").to_numpy(dtype=bool)
    nothing = pd.Series(pd.NaT, index=dates.index, dtype="datetime64[s]")
    if of_shape.sum() * 2 <= written.sum():
        if not written.any():
            return nothing, [], "none"
        text = (
            f"its dates, e.g. {shown_value(dates[written].iloc[0])}, are written in a way that is not known here; "
            f"{DESCRIBE}"
        )
        return nothing, [Problem("unknown dates", text)], "none"
    read = {pattern: _days(plain.where(of_shape), pattern) for pattern in formats}
    example = max(dates[of_shape], key=len)  # the longest shows whether months are written out
    chosen, problems = _chosen(read, {pattern: _shown(pattern, mark, example) for pattern in read}, example)
    if problems:
        return nothing, problems, "none"
    days = read[chosen]
    if days.isna().any():  # of years that no table has: days all the same, which are refused as what they are
        days = days.fillna(pd.to_datetime(plain.where(of_shape), format=chosen, errors="coerce"))
    written_as = _shown(chosen, mark, example)
    if two_digit_years(chosen):
        problems = in_the_future(days, dates) or two_centuries(days, dates, written_as)
    return days, problems, written_as


def _canonical(dates: pd.Series) -> tuple[pd.Series, str]:
    """Dates with one mark for all, months in three letters and no weekdays, and the mark that most rows have."""
    plain = dates.str.replace(_WEEKDAY, "", regex=True)
    named = plain.str.contains(_MONTH, regex=True)
    if named.any():
        words = plain[named].str.replace(r"(\d)(?:st|nd|rd|th)\b", r"\1", regex=True)
        words = words.str.replace(_MONTH, lambda found: f" {found[0][:3].title()} ", regex=True)
        plain = plain.mask(named, words.str.replace(r"[-/.,\s]+", " ", regex=True).str.strip())
    marks = plain[~named].str.extract(r"^\d+([-/. ])\d", expand=False).mode()
    mark = str(marks.iloc[0]) if len(marks) else "-"
    # Another mark than the table's own stays, so that such a row is not of the table's shape.
    return plain.mask(~named, plain.str.replace(mark, "-", regex=False)), mark


def _days(text: pd.Series, pattern: str) -> pd.Series:
    days = pd.to_datetime(text, format=pattern, errors="coerce")
    return days.where(days.dt.year.between(_FIRST_YEAR, _LAST_YEAR))


def _shown(pattern: str, mark: str, example: str) -> str:
    """The format as ``data.date_format`` would say it: with the marks, and the long months, of the table."""
    if "%b" not in pattern:
        return pattern.replace("-", mark)
    bare = _WEEKDAY.sub("", example)
    marks = re.findall(r"[-/.,\s]+", bare)
    codes = pattern.split(" ")
    month = _MONTH.search(bare)
    if month is not None and len(month[0]) > 3 and bare.isascii():
        codes = [code.replace("%b", "%B") for code in codes]
    return f"{codes[0]}{marks[0]}{codes[1]}{marks[1]}{codes[2]}" if len(marks) == 2 else pattern


def _chosen(read: dict[str, pd.Series], shown: dict[str, str], example: str) -> tuple[str, list[Problem]]:
    """The format that reads the most rows and puts them in order; two that do both cannot be told apart."""
    counts = {pattern: int(days.notna().sum()) for pattern, days in read.items()}
    best = max(counts, key=lambda pattern: counts[pattern])
    rows = len(read[best])
    missed = read[best].isna().to_numpy()
    for pattern, days in read.items():
        also = int((days.notna().to_numpy() & missed).sum())
        if also > _FEW * rows:
            return best, [_both_occur(shown[best], counts[best], shown[pattern], also)]
    fitting = [pattern for pattern in read if counts[pattern] == counts[best]]
    different = [p for p in fitting if not read[p].equals(read[best])]
    if not different:
        return best, []
    ordered = [pattern for pattern in fitting if _in_order(read[pattern])]
    if len({tuple(read[pattern]) for pattern in ordered}) == 1:
        return ordered[0], []
    meant = " or ".join(f"--set data.date_format={shown[p]}" for p in (ordered or fitting))
    text = (
        f"its dates fit {len(ordered or fitting)} readings, e.g. {example!r}: say which is meant with {meant}"
    )
    return best, [Problem("ambiguous dates", text)]


def _both_occur(first: str, some: int, second: str, others: int) -> Problem:
    text = (
        f"its dates are written in two ways: {some} rows read as {first}, {others} of the rest only as {second}, as a "
        "spreadsheet leaves them that mistook some days for months; export the table again with dates as 2018-12-31"
    )
    return Problem("two ways of writing dates", text)


def _in_order(days: pd.Series) -> bool:
    steps = days.dropna().diff().dropna().dt.days
    return bool((steps > 0).all() or (steps < 0).all())
