"""One market, and the ways in which people write it."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from model_core.config.load import load_settings
from model_core.data.reading.sources import read_source
from model_core.data.reading.table import PriceTable, check_table
from model_core.errors import UserError
from tests.data.market import table
from tests.data.test_field_tables import PRICES, WINDOW

Write = Callable[[pd.DataFrame, Path], str]


def market(scale: float = 1.0, digits: int = 2) -> pd.DataFrame:
    """300 weekdays from 2010-01-04 with prices of a few digits, so that every way of writing is exact."""
    frame = table()
    frame[PRICES] = (frame[PRICES] * scale).round(digits)
    return frame


def read(path: str, *sets: str) -> PriceTable:
    settings = load_settings(None, [WINDOW, *sets]).data
    return check_table(read_source(path, settings), settings)


def refusal(path: str, *sets: str) -> str:
    with pytest.raises(UserError) as error:
        read(path, *sets)
    assert len(str(error.value)) < 2000
    assert "\n" not in str(error.value)
    return str(error.value)


def is_market(found: PriceTable, frame: pd.DataFrame) -> bool:
    same = found.dates.astype(str).tolist() == frame["Date"].tolist()
    return same and np.allclose(found.prices, frame[PRICES].to_numpy(), rtol=1e-12)


def put(folder: Path, content: bytes | str, name: str = "market.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def csv(frame: pd.DataFrame, **keywords: Any) -> str:
    return str(frame.to_csv(index=False, **keywords))


def days(frame: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(frame["Date"])


def dated(frame: pd.DataFrame, dates: Any) -> pd.DataFrame:
    return frame.assign(Date=dates)


def stamps(zone: str, hours: float, shown: str | None = None) -> Write:
    """A CSV of stamps ``hours`` after midnight in ``zone``, written with the offset of ``shown``."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        local = (days(frame) + pd.Timedelta(hours=hours)).dt.tz_localize(zone)
        return put(folder, csv(dated(frame, local.dt.tz_convert(shown or zone).map(pd.Timestamp.isoformat))))

    return write


def zoned(zone: str, hours: float, shown: str | None = None) -> Write:
    """The same in Parquet."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        local = (days(frame) + pd.Timedelta(hours=hours)).dt.tz_localize(zone).dt.tz_convert(shown or zone)
        dated(frame, local).to_parquet(folder / "market.parquet")
        return str(folder / "market.parquet")

    return write


def written(pattern: str) -> Write:
    return lambda frame, folder: put(folder, csv(dated(frame, days(frame).dt.strftime(pattern))))


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame], index: bool = True) -> Write:
    def write(frame: pd.DataFrame, folder: Path) -> str:
        change(frame).to_parquet(folder / "market.parquet", index=index)
        return str(folder / "market.parquet")

    return write


def since_1970(unit: str, per_second: float, kind: type = int) -> Callable[[pd.DataFrame], pd.Series]:
    def count(frame: pd.DataFrame) -> pd.Series:
        seconds = days(frame).to_numpy().astype("datetime64[s]").astype(np.int64)
        return pd.Series((seconds * per_second).astype(kind), index=frame.index)

    return count


def numbers(change: Callable[[str], str], separator: str = ",") -> Write:
    """Every price as text, changed; quoted where it holds the separator."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        text = frame.assign(**{name: frame[name].map(lambda x: change(f"{x:,.2f}")) for name in PRICES})
        return put(folder, csv(text, sep=separator))

    return write


def compressed(pack: Callable[[bytes], bytes], content: Callable[[pd.DataFrame], bytes]) -> Write:
    return lambda frame, folder: put(folder, pack(content(frame)), "market.csv")


def as_csv(frame: pd.DataFrame) -> bytes:
    return csv(frame).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def zstandard(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(content)
    return buffer.getvalue().to_pybytes()


def german(text: str) -> str:
    return text.replace(",", "_").replace(".", ",").replace("_", ".")


def eve(zone: str) -> tuple[Write, Write]:
    return stamps(zone, 0, "UTC"), zoned(zone, 0, "UTC")
