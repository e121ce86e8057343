"""Whatever bytes a reader is given, it reads them or refuses them in one short sentence: tables."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from model_core.config.data import DataSettings
from model_core.data.prepare import prepare
from model_core.data.reading.sources import read_source
from tests.data.market import SETTINGS, table
from tests.security.fuzzing import (
    damaged,
    fuzzed,
    json_values,
    read_or_refused,
    seeds,
    trees,
)


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.assign(Date=pd.to_datetime(frame["Date"])).to_parquet(buffer)
    return buffer.getvalue()


@fuzzed(60)
@given(seed=seeds)
def test_any_damaged_csv_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "market.csv"
    path.write_bytes(damaged(as_csv(table().head(40)), seed))
    read_or_refused(lambda: prepare(str(path), SETTINGS))


@fuzzed(200)
@given(text=st.text(alphabet=",;\t|\"'\n\r .-/:#0123456789eEDateOpnHighLwClsNn\x00\ufeff%€ü", max_size=200))
def test_any_text_is_read_as_a_table_or_refused(place: Path, text: str) -> None:
    path = place / "market.csv"
    path.write_text(text, encoding="utf-8")
    read_or_refused(lambda: prepare(str(path), SETTINGS))


STARTS = [
    b"",
    b"PAR1",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"PK\x03\x04",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xfe",
]
"""Of Parquet, of each compression and archive, and of UTF-16."""


@fuzzed(200)
@given(content=st.binary(max_size=200), start=st.sampled_from(STARTS))
def test_any_bytes_are_read_as_a_table_or_refused(place: Path, content: bytes, start: bytes) -> None:
    path = place / "market"
    path.write_bytes(start + content)
    read_or_refused(lambda: prepare(str(path), SETTINGS))


@fuzzed(100)
@given(seed=seeds)
def test_any_damaged_parquet_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "market.parquet"
    path.write_bytes(damaged(as_parquet(table().head(40)), seed))
    read_or_refused(lambda: prepare(str(path), SETTINGS))


@fuzzed(200)
@given(seed=seeds)
def test_any_damaged_footer_of_a_parquet_file_is_read_or_refused(place: Path, seed: int) -> None:
    """What a file says of itself; its pages are sound."""
    content = as_parquet(table().head(40))
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = damaged(content[start:-8], seed)
    path = place / "market.parquet"
    path.write_bytes(content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    read_or_refused(lambda: read_source(str(path), DataSettings()))


PANDAS = json.loads(pq.read_schema(io.BytesIO(as_parquet(table().head(40)))).metadata[b"pandas"])


@fuzzed(100)
@given(metadata=trees(PANDAS))
def test_any_pandas_metadata_in_a_parquet_file_is_read_or_refused(place: Path, metadata: Any) -> None:
    whole = pq.read_table(io.BytesIO(as_parquet(table().head(40))))
    path = place / "market.parquet"
    pq.write_table(whole.replace_schema_metadata({"pandas": json.dumps(metadata)}), path)
    read_or_refused(lambda: read_source(str(path), DataSettings()))


@fuzzed(40)
@given(
    column=st.sampled_from(["Date", "Open", "Close"]), values=st.lists(json_values, min_size=40, max_size=40)
)
def test_any_values_in_a_parquet_column_are_read_or_refused(
    place: Path, column: str, values: list[Any]
) -> None:
    kinds = (None, pa.string(), pa.int64(), pa.float64(), pa.date32(), pa.bool_())
    frame = table().head(40)
    for kind in kinds:
        try:
            array = pa.array(values, kind, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        columns = {name: pa.array(frame[name]) for name in frame} | {column: array}
        path = place / "market.parquet"
        try:
            pq.write_table(pa.table(columns), path)
        except pa.ArrowException:
            continue
        read_or_refused(lambda: prepare(str(place / "market.parquet"), SETTINGS))
