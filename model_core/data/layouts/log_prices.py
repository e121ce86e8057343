"""What the four price columns of a published table hold: log prices, or log returns to be summed up."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, HIGH, LOW, OPEN, TARGETS
from model_core.errors import Problem
from model_core.results.quality import Prices

PriceKind = Literal["log prices", "log returns on the previous Close", "log returns of each column"]

_LEVEL_AUTOCORRELATION = 0.5
"""A level has more, returns have less. Of 5,000 random walks of 120 rows the least had 0.64, of 5,000 noises
of 120 rows the most had 0.31."""
_LARGEST_RETURN = 0.2
"""Median |log return| of a day below this: the wildest markets stay under 0.1."""
_LARGEST_LOG_PRICE = 25.0
"""Median |log price|: 7e10 in any currency. A table of plain prices exceeds it."""
_ROUNDING = 1e-6
"""Slack, in log price, for tables written with few digits."""


@dataclass(frozen=True)
class PriceColumns:
    """What the columns hold, and the two numbers (of log_Close) that tell."""

    kind: PriceKind
    autocorrelation: float
    """Lag 1."""
    median_size: float
    """Median absolute value."""

    def rounded(self) -> Prices:
        """As it stands in ``quality.json``."""
        return Prices(
            found=self.kind,
            lag_1_autocorrelation=round(self.autocorrelation, 4),
            median_size=round(self.median_size, 6),
        )


def detect_price_kind(columns: NDArray[np.float64]) -> PriceColumns | Problem:
    """Tell log prices from log returns by scale and autocorrelation, or say why neither fits.

    A price level moves little compared with how far it wanders: its lag-1 autocorrelation is near 1.
    Returns have next to none and are small. Returns on the previous Close keep the order of a candle
    (High ≥ Open, Close ≥ Low) in every row; returns of each column on itself do not.

    Args:
        columns: [R, T] log_Open, log_High, log_Low, log_Close; finite.
    """
    kinds = [_kind(column) for column in columns.T]
    autocorrelation, size = _autocorrelation(columns[:, CLOSE]), float(np.median(np.abs(columns[:, CLOSE])))
    if set(kinds) == {"price"}:
        return PriceColumns("log prices", autocorrelation, size)
    if set(kinds) == {"return"}:
        ordered = not broken_candles(columns).any()
        kind: PriceKind = "log returns on the previous Close" if ordered else "log returns of each column"
        return PriceColumns(kind, autocorrelation, size)
    said = ", ".join(
        f"log_{target}: autocorrelation {_autocorrelation(column):.2f}, median size {np.median(np.abs(column)):.3g}"
        for target, column in zip(TARGETS, columns.T, strict=True)
    )
    return Problem(
        "no log prices",
        f"holds neither log prices (lag-1 autocorrelation above {_LEVEL_AUTOCORRELATION}, size below "
        f"{_LARGEST_LOG_PRICE:g}) nor log returns (below {_LEVEL_AUTOCORRELATION} and {_LARGEST_RETURN}) in all of "
        f"its price columns ({said})",
    )


def broken_candles(log_prices: NDArray[np.float64], slack: float = _ROUNDING) -> NDArray[np.bool_]:
    """[...] candles [..., T] whose High or Low does not enclose Open and Close, by more than ``slack``."""
    opened, high, low, close = np.moveaxis(log_prices, -1, 0)
    return (high < np.maximum(opened, close) - slack) | (low > np.minimum(opened, close) + slack)


def prices_from_returns(
    returns: NDArray[np.float64], kind: PriceKind, first_close: float, train_rows: int
) -> NDArray[np.float64]:
    """[R, T] log prices whose first Close is ``first_close``.

    Returns of each column on itself leave the level of Open, High and Low open. Open's is set so that
    the mean night is flat, High's and Low's to the least that encloses every candle: judged on the first
    ``train_rows`` rows alone, so that nothing later reaches them.
    """
    start = np.log(first_close)
    close = start + np.cumsum(returns[:, CLOSE]) - returns[0, CLOSE]
    if kind == "log returns on the previous Close":
        previous = np.concatenate([[start - returns[0, CLOSE]], close[:-1]])
        return previous[:, None] + returns
    level = np.cumsum(returns, axis=0) - returns[0] + start
    level[:, OPEN] -= (level[1:train_rows, OPEN] - close[: train_rows - 1]).mean()
    body = level[:train_rows][:, [OPEN, CLOSE]]
    level[:, HIGH] += (body.max(axis=1) - level[:train_rows, HIGH]).max()
    level[:, LOW] += (body.min(axis=1) - level[:train_rows, LOW]).min()
    return level


def _kind(column: NDArray[np.float64]) -> Literal["price", "return", "neither"]:
    autocorrelation, size = _autocorrelation(column), float(np.median(np.abs(column)))
    if autocorrelation > _LEVEL_AUTOCORRELATION and size < _LARGEST_LOG_PRICE:
        return "price"
    if autocorrelation < _LEVEL_AUTOCORRELATION and size < _LARGEST_RETURN:
        return "return"
    return "neither"


def _autocorrelation(column: NDArray[np.float64]) -> float:
    """Of lag 1; 0 for a column that does not move."""
    centered = column - column.mean()
    power = float(centered @ centered)
    return float(centered[1:] @ centered[:-1]) / power if power > 0 else 0.0
