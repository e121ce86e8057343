"""What is odd about a checked price table but possible: counted, shown, never refused."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.data.calendar import WEEKDAYS, days_of_week, trading_week
from model_core.data.reading.problems import row_name
from model_core.errors import printable
from model_core.results.quality import TableWarning

STALE_SHARE = 0.05
"""A market whose Open is yesterday's Close on more than 1 day in 20 of a year has no real Opens then."""
JUMP = 0.4
"""|Δ log Close|: beyond any index's worst day (−0.23 in 1987), and below a 2:1 split (0.69)."""
GAP_DAYS = 7
_EXAMPLES = 5
_ONE_DAY_LATE = (False, True, True, True, True, True, False)


def find_warnings(dates: NDArray[np.datetime64], prices: NDArray[np.float64]) -> list[TableWarning]:
    """Every kind of oddity that occurs in checked prices, with its count.

    Args:
        dates: [R] ascending days.
        prices: [R, T] Open, High, Low, Close.
    """
    opens, highs, lows, closes = prices.T
    found = [
        _stale_opens(dates, opens, closes),
        _at(
            "jumps",
            f"Close moves by more than {JUMP} in log price: an unadjusted split?",
            np.flatnonzero(np.abs(np.diff(np.log(closes))) > JUMP) + 1,
            dates,
        ),
        _at(
            "gaps",
            f"more than {GAP_DAYS} days lie between two rows",
            np.flatnonzero(np.diff(dates).astype(int) > GAP_DAYS) + 1,
            dates,
        ),
        _at("weekend", "rows are dated on a Saturday or Sunday", _weekend(dates), dates),
        _at("zero_range", "High equals Low all day", np.flatnonzero(highs == lows), dates),
    ]
    return [oddity for oddity in found if oddity.count]


def note(code: str, count: int, message: str, examples: Iterable[str] = ()) -> TableWarning:
    """One entry of the ``warnings`` of ``quality.json``."""
    # Either may hold words of the table.
    shown = [printable(example) for example in examples]
    return TableWarning(code=code, count=count, message=printable(message), examples=tuple(shown))


def _at(code: str, message: str, rows: NDArray[np.intp], dates: NDArray[np.datetime64]) -> TableWarning:
    return note(code, len(rows), message, [row_name(row, dates) for row in rows[:_EXAMPLES].tolist()])


def _weekend(dates: NDArray[np.datetime64]) -> NDArray[np.intp]:
    """Rows on a Saturday or Sunday that are not part of the market's own week, such as Sunday to Thursday.

    No market trades from Tuesday to Saturday: such a table is one day late.
    """
    week = trading_week(dates)
    if week == _ONE_DAY_LATE:
        week = WEEKDAYS
    day = days_of_week(dates)
    return np.flatnonzero((day >= 5) & ~np.array(week)[day])


def _stale_opens(
    dates: NDArray[np.datetime64], opens: NDArray[np.float64], closes: NDArray[np.float64]
) -> TableWarning:
    years = dates.astype("datetime64[Y]").astype(int) + 1970
    stale = np.concatenate([[False], opens[1:] == closes[:-1]])
    shares = pd.Series(stale).groupby(years).mean()
    bad = {int(str(year)): float(share) for year, share in shares.items() if share > STALE_SHARE}
    return note(
        "stale_opens",
        int(stale[np.isin(years, list(bad))].sum()),
        f"Open equals the previous Close on more than {STALE_SHARE:.0%} of the days of "
        + ", ".join(f"{year} ({share:.0%})" for year, share in bad.items()),
    )
