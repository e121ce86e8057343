"""The quality gate: a table as found becomes a checked price table, or one error lists what is wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.run import DataSettings
from model_core.data.sources import SourceTable
from model_core.errors import SourceError

_DATE_NAMES = ("date", "datetime", "timestamp", "time", "day")
_SHOWN = 20
"""Problems listed in full; the rest are counted."""
_STALE_SHARE, _JUMP, _GAP_DAYS = 0.05, 0.4, 7


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
    """
    frame = source.frame
    columns = _find_columns(source, settings)
    if frame.empty:
        raise SourceError(f"{source.uri} has a header but no rows; see docs/data.md")
    notes: list[dict[str, Any]] = []
    dates, bad_dates = _dates(frame[columns["date"]], settings, notes)
    prices, bad_prices = _prices(frame, columns, dates)
    problems = [*bad_dates, *bad_prices]
    if not bad_dates:
        dates, prices, unordered = _order(dates, prices, settings, notes)
        problems += unordered
    if problems:
        shown = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SourceError(
            f"{source.uri} is refused for {len(problems)} problem{'s' * (len(problems) > 1)}: {shown}{more}; "
            "mend the table (docs/data.md says what is expected)"
        )
    return PriceTable(dates, prices, (*notes, *_warnings(dates, prices)))


def _find_columns(source: SourceTable, settings: DataSettings) -> dict[str, str]:
    """Our name → the table's column, in any case, through the column map where there is one."""
    present = {str(name).strip().lower(): str(name) for name in source.frame.columns}
    wanted = {name.lower(): their.strip().lower() for name, their in settings.columns.items()}
    found: dict[str, str] = {}
    for name in ("date", *(target.lower() for target in TARGETS)):
        candidates = [wanted[name]] if name in wanted else (_DATE_NAMES if name == "date" else (name,))
        match = next((present[c] for c in candidates if c in present), None)
        if match is not None:
            found[name] = match
    missing = [name.capitalize() for name in ("date", *map(str.lower, TARGETS)) if name not in found]
    if missing:
        raise SourceError(
            f"{source.uri} lacks {' and '.join(missing)}; columns found: "
            f"{', '.join(map(str, source.frame.columns)) or 'none'}; "
            "name them with data.columns, see docs/data.md"
        )
    return found


def _dates(
    column: pd.Series, settings: DataSettings, notes: list[dict[str, Any]]
) -> tuple[NDArray[np.datetime64], list[str]]:
    """Days of each row (NaT where it has none) and the rows that are no dates."""
    text = column.astype(str).str.strip()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(column):
        stamps = column
    elif text.str.fullmatch(r"\d{8}").all():
        stamps = pd.to_datetime(text, format=settings.date_format or "%Y%m%d", errors="coerce")
    else:
        zoned = text.str.contains(r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$", regex=True)
        pattern = settings.date_format or ("ISO8601" if text.str.match(r"\d{4}-").mean() > 0.5 else None)
        chosen = pattern or _guess_format(text)
        stamps = pd.to_datetime(text, format=chosen, errors="coerce", utc=True if zoned.any() else None)
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        stamps = stamps.dt.tz_convert(settings.timezone).dt.tz_localize(None)
        notes.append(
            {
                "code": "timezone",
                "count": int(stamps.notna().sum()),
                "message": f"dates with a time zone were converted to the date in {settings.timezone}",
                "examples": [],
            }
        )
    days = stamps.to_numpy().astype("datetime64[D]")
    bad = np.flatnonzero(np.isnat(days))
    return days, [f"row {i + 1}: {text.iloc[i]!r} is no date" for i in bad]


def _guess_format(text: pd.Series) -> str:
    """The one of a few common formats that reads the most rows; month first only if day first cannot be."""
    formats = ("%d.%m.%Y", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d-%b-%Y", "%b %d, %Y", "%Y%m%d")
    sample = text.iloc[:: max(1, len(text) // 500)]
    reads = {f: pd.to_datetime(sample, format=f, errors="coerce").notna().sum() for f in formats}
    return max(formats, key=lambda f: int(reads[f]))


def _prices(
    frame: pd.DataFrame, columns: dict[str, str], dates: NDArray[np.datetime64]
) -> tuple[NDArray[np.float64], list[str]]:
    """[R, T] prices and what is wrong with them."""
    problems: list[str] = []
    values = np.empty((len(frame), len(TARGETS)))
    for position, target in enumerate(TARGETS):
        raw = frame[columns[target.lower()]]
        numbers = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64)
        values[:, position] = numbers
        for i in np.flatnonzero(~np.isfinite(numbers)):
            problems.append(f"{_row(i, dates)}: {target} is {_shown(raw.iloc[i])}, not a number")
        for i in np.flatnonzero(np.isfinite(numbers) & (numbers <= 0)):
            problems.append(f"{_row(i, dates)}: {target} is {numbers[i]:g}; prices must be above 0")
    opens, highs, lows, closes = values.T
    finite = np.isfinite(values).all(axis=1)
    for i in np.flatnonzero(finite & (highs < np.maximum(np.maximum(opens, closes), lows))):
        problems.append(f"{_row(i, dates)}: High {highs[i]:g} lies below Open, Close or Low")
    for i in np.flatnonzero(finite & (lows > np.minimum(opens, closes))):
        problems.append(f"{_row(i, dates)}: Low {lows[i]:g} lies above Open or Close")
    return values, problems


def _order(
    dates: NDArray[np.datetime64],
    prices: NDArray[np.float64],
    settings: DataSettings,
    notes: list[dict[str, Any]],
) -> tuple[NDArray[np.datetime64], NDArray[np.float64], list[str]]:
    """Rows in ascending order if that is allowed, and the dates that are duplicate or out of order."""
    descents = np.flatnonzero(np.diff(dates) < np.timedelta64(0, "D")) + 1
    problems = []
    if len(descents) and settings.sort:
        order = np.argsort(dates, kind="stable")
        dates, prices = dates[order], prices[order]
        notes.append(
            {
                "code": "sorted",
                "count": len(descents),
                "message": "rows were out of order and have been sorted by date, as data.sort asks",
                "examples": [],
            }
        )
    elif len(descents):
        first = descents[0]
        problems.append(
            f"{_row(first, dates)}: dates are not ascending ({len(descents)} such rows; "
            "--set data.sort=true sorts them)"
        )
    seen = pd.Series(dates).duplicated().to_numpy()
    problems += [f"{_row(i, dates)}: this date occurs twice" for i in np.flatnonzero(seen)]
    return dates, prices, problems


def _warnings(dates: NDArray[np.datetime64], prices: NDArray[np.float64]) -> list[dict[str, Any]]:
    opens, highs, lows, closes = prices.T
    years = dates.astype("datetime64[Y]").astype(int) + 1970
    stale = np.concatenate([[False], opens[1:] == closes[:-1]])
    shares = pd.Series(stale).groupby(years).mean()
    bad_years = shares[shares > _STALE_SHARE]
    jumps = np.flatnonzero(np.abs(np.diff(np.log(closes))) > _JUMP) + 1
    gaps = np.flatnonzero(np.diff(dates).astype(int) > _GAP_DAYS) + 1
    weekend = np.flatnonzero(~np.is_busday(dates))
    flat = np.flatnonzero(highs == lows)
    found = [
        (
            "stale_opens",
            int(stale[np.isin(years, bad_years.index)].sum()),
            "Open equals the previous Close on more than 5 % of the days of "
            + ", ".join(f"{year} ({share:.0%})" for year, share in bad_years.items()),
            [],
        ),
        ("jumps", len(jumps), "Close moves by more than 0.4 in log price: an unadjusted split?", jumps),
        ("gaps", len(gaps), f"more than {_GAP_DAYS} days lie between two rows", gaps),
        ("weekend", len(weekend), "rows are dated on a Saturday or Sunday", weekend),
        ("zero_range", len(flat), "High equals Low all day", flat),
    ]
    return [
        {
            "code": code,
            "count": int(count),
            "message": message,
            "examples": [_row(i, dates) for i in rows[:5]],
        }
        for code, count, message, rows in found
        if count
    ]


def _row(i: int, dates: NDArray[np.datetime64]) -> str:
    return f"row {i + 1}" + ("" if np.isnat(dates[i]) else f" ({dates[i]})")


def _shown(value: object) -> str:
    return "missing" if pd.isna(value) else repr(value)  # type: ignore[call-overload]
