"""Whatever the market and the way of writing it: the same days and prices come back, or a refusal."""

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from model_core.config.load import load_settings
from model_core.data.reading.sources import read_source
from model_core.data.reading.table import check_table
from model_core.errors import UserError

PRICES = ["Open", "High", "Low", "Close"]
WINDOW = "data.window={seq_len: 16, label_len: 8, pred_len: 3}"
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d%m%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *(
        "%d.%m.%Y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%y-%m-%d",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%b %d, %Y",
        "%d %B %Y",
        "%a %d %b %Y",
    ),
)
WEEKS = ("1111100", "1111111", "1111001")
STYLES = ("{:.2f}", "{:.4f}", "{:,.2f}", "german", "{:.3f}")


@dataclass(frozen=True)
class Way:
    """A market and how it is written."""

    days: np.ndarray
    prices: np.ndarray
    pattern: str
    clock: str
    """Time of day, ``""`` for a date alone."""
    zone: str
    """Of the clock, ``""`` for none."""
    in_utc: bool
    style: str
    delimiter: str
    reversed: bool
    parquet: bool
    packed: bool


@st.composite
def ways(draw: st.DrawFn) -> Way:
    rows = draw(st.integers(40, 120))
    start = np.datetime64("1975-01-01") + draw(st.integers(0, 70 * 365))
    monthly = draw(st.integers(0, 5)) == 0
    if monthly:
        days = (start.astype("datetime64[M]") + np.arange(rows)).astype("datetime64[D]")
        days = days[days < np.datetime64("2049-01-01")]
    else:
        days = np.busday_offset(start, np.arange(rows), roll="forward", weekmask=draw(st.sampled_from(WEEKS)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keep = np.ones(len(days), dtype=bool)
    keep[random.choice(len(days), size=min(len(days) - 30, draw(st.integers(0, 4))), replace=False)] = False
    close = draw(st.sampled_from([1.2, 60.0, 990.0, 30_000.0])) * np.exp(
        0.01 * random.standard_normal(len(days)).cumsum()
    )
    opened = close * np.exp(0.003 * random.standard_normal(len(days)))
    prices = np.stack(
        [opened, np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99, close], axis=1
    )
    clock = draw(st.sampled_from(["", "00:00", "09:30", "16:00:00", "21:00"]))
    zone = draw(st.sampled_from(["", "America/New_York", "Asia/Tokyo", "Europe/Berlin", "Asia/Kolkata"]))
    # A moment in UTC tells of its day only by the week of its market: one of five days.
    five_days = not monthly and set(pd.DatetimeIndex(days).day_of_week) == set(range(5))
    return Way(
        days=days[keep],
        prices=prices[keep].round(4),
        pattern=draw(st.sampled_from(FORMATS)),
        clock=clock,
        zone=zone if clock else "",
        in_utc=bool(clock and zone and five_days and draw(st.booleans())),
        style=draw(st.sampled_from(STYLES)),
        delimiter=draw(st.sampled_from([",", ";", "\t"])),
        reversed=draw(st.booleans()),
        parquet=draw(st.booleans()),
        packed=draw(st.booleans()),
    )


def written_dates(way: Way) -> pd.Series:
    """What stands in the date column, as text; ISO with an offset where there is a zone."""
    stamps = pd.Series(pd.DatetimeIndex(way.days))
    if way.clock:
        stamps = stamps + pd.Timedelta(way.clock if way.clock.count(":") == 2 else f"{way.clock}:00")
    if way.zone:
        stamps = stamps.dt.tz_localize(way.zone).dt.tz_convert("UTC" if way.in_utc else way.zone)
        return stamps.map(pd.Timestamp.isoformat)
    return stamps.dt.strftime(f"{way.pattern} {way.clock}".strip())


def written_number(value: float, style: str) -> str:
    if style == "german":
        return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
    return style.format(value)


def saved(way: Way, folder: Path) -> tuple[str, np.ndarray]:
    """The path of the file, and the prices with the digits that stand there."""
    digits = {"{:.4f}": 4, "{:.3f}": 3}.get(way.style, 2)
    frame = pd.DataFrame({"Date": written_dates(way)})
    for i, name in enumerate(PRICES):
        frame[name] = [written_number(value, way.style) for value in way.prices[:, i].tolist()]
    exact = np.array([[float(f"{value:.{digits}f}") for value in row] for row in way.prices.tolist()])
    if way.reversed:
        frame = frame[::-1]
    path = folder / "market"
    if way.parquet:
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep=way.delimiter)
    if way.packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    return str(path), exact


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(ways())
def test_a_market_comes_back_with_its_days_and_prices_or_is_refused(way: Way) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, prices = saved(way, Path(folder))
        chosen = load_settings(None, [WINDOW, f"data.sort={str(way.reversed).lower()}"]).data
        try:
            found = check_table(read_source(path, chosen), chosen)
        except UserError as refusal:
            event(f"refused: {str(refusal).partition(' is ')[2][:60]}")
            return
        assert found.dates.tolist() == way.days.tolist(), (written_dates(way)[0], found.reading)
        np.testing.assert_allclose(found.prices, prices, rtol=1e-12)
