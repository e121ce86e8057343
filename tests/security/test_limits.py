"""A small file that stands for a huge table is refused before the table is in memory."""

import bz2
import gzip
import io
import json
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_core.config.data import DataSettings
from model_core.config.table import LimitSettings
from model_core.data.prepare import prepare
from model_core.data.reading.sources import read_source
from model_core.errors import ArtifactError, OversizedError, SourceError
from model_core.parquet import STEP_LIMITS, read_frame
from model_core.store.locate import open_store
from tests.data.market import SETTINGS, saved, table

DEFAULT = DataSettings().limits


def limited(**limits: int) -> DataSettings:
    return DataSettings(limits=LimitSettings(**limits))


SMALL = limited(bytes=10_000_000)


def refused(path: Path, settings: DataSettings = SMALL) -> str:
    """The refusal of a table, which must not have taken more memory than a few times its file."""
    usual, watched = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(watched)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError) as caught:
            read_source(str(path), settings)
        taken = tracemalloc.get_traced_memory()[1] + watched.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    assert taken < 4 * settings.limits.bytes + 2**26
    return str(caught.value)


def bomb_of_rows(path: Path, rows: int) -> None:
    """``rows`` equal numbers in a few kilobytes."""
    numbers = pa.array(np.zeros(rows))
    pq.write_table(pa.table({"Date": numbers, "Close": numbers}), path, compression="zstd")


def test_a_parquet_file_with_more_rows_than_allowed_is_refused_by_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    bomb_of_rows(path, 20_000_000)
    assert path.stat().st_size < 500_000
    assert refused(path) == (
        f"{path} holds 20,000,000 rows, more than data.limits.rows allows; give a smaller table, or allow this one "
        "with --set data.limits.rows=20000000"
    )


def test_the_remedy_for_too_many_rows_works(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    bomb_of_rows(path, 1_500_000)
    assert len(read_source(str(path), limited(rows=1_500_000)).frame) == 1_500_000


def test_a_parquet_file_with_more_columns_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    pq.write_table(pa.table({f"c{n}": pa.array([1.0]) for n in range(DEFAULT.columns + 1)}), path)
    assert "holds 10,001 columns" in refused(path)


def test_a_text_that_is_repeated_a_million_times_is_refused_before_it_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    long = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), ["x" * 1_000_000])
    pq.write_table(pa.table({"Date": long}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 20_000
    assert "bytes, more than data.limits.bytes allows" in refused(path)


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    pq.write_table(pa.table({"Date": ["2020-01-01"], "Close": [[1.0] * 1000]}), path)
    assert "holds lists in its column 'Close'" in refused(path)


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_a_compressed_table_is_unpacked_up_to_the_limit_only(
    tmp_path: Path, squeeze: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "market.csv"
    path.write_bytes(squeeze(b"Date,Open,High,Low,Close\n" + b"0" * 50_000_000))
    text = refused(path, limited(bytes=1_000_000))
    assert "unpacks to more than 1,000,000 bytes, more than data.limits.bytes allows" in text


def test_a_table_in_zstandard_is_unpacked_up_to_the_limit_only(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(b"0" * 50_000_000)
        stream.flush()
        path = tmp_path / "market.csv"
        path.write_bytes(buffer.getvalue())
    assert "unpacks to more than 1,000,000 bytes" in refused(path, limited(bytes=1_000_000))


def test_a_file_larger_than_the_limit_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "market.csv"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "is larger than 1,000,000 bytes" in refused(path, limited(bytes=1_000_000))


def test_a_csv_file_of_too_many_rows_or_cells_is_refused_before_it_is_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "market.csv"
    path.write_text("Date,Close\n" + "2020-01-01,1\n" * 5_000)
    assert "holds 5,001 lines, more than data.limits.rows allows" in refused(path, limited(rows=1_000))
    path.write_text("," * 30_000 + "\n")
    assert "has a line of 30,001 cells, more than data.limits.columns allows" in refused(path)


def test_short_lines_below_a_long_header_are_refused_before_they_are_filled_up(tmp_path: Path) -> None:
    """A megabyte of such lines is gigabytes of empty cells."""
    path = tmp_path / "market.csv"
    wide = ",".join(["1"] * 9_000) + "\n"
    path.write_text(",".join(f"c{n}" for n in range(9_000)) + "\n" + wide * 60 + "1,2\n" * 100_000)
    text = refused(path)
    assert "holds 100,061 lines of up to 9,001 cells, more than data.limits.bytes allows" in text
    assert text.endswith(f"--set data.limits.bytes={100_061 * 9_001 * 8}")


def test_the_remedy_for_too_many_cells_works(tmp_path: Path) -> None:
    path = tmp_path / "market.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 1_000)
    text = refused(path, limited(bytes=20_000))
    needed = int(text.rpartition("=")[2])
    assert len(read_source(str(path), limited(bytes=needed)).frame) == 1_000


@pytest.mark.parametrize("name", ["-" * 20_000 + "1", "(" * 20_000, "x" * 1_001])
def test_a_column_name_beyond_all_measure_is_refused_before_it_is_parsed(name: str, tmp_path: Path) -> None:
    """With two header levels pandas' notes let names be parsed as Python's, and brackets fill its memory."""
    level = {
        "name": None,
        "field_name": None,
        "pandas_type": "unicode",
        "numpy_type": "object",
        "metadata": None,
    }
    column = {
        "name": name,
        "field_name": name,
        "pandas_type": "float64",
        "numpy_type": "float64",
        "metadata": None,
    }
    notes = {
        "index_columns": [],
        "column_indexes": [level, level],
        "columns": [column],
        "pandas_version": "3",
    }
    path = tmp_path / "market.parquet"
    columns = pa.table({name: [1.0]}).replace_schema_metadata({"pandas": json.dumps(notes)})
    pq.write_table(columns, path)
    assert "a column's name has" in refused(path)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "a\0b", "~no-such-user/market.csv"])
def test_a_table_is_a_regular_file(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match=r"device or a pipe|does not name a file"):
        read_source(str(tmp_path / place) if place == "pipe" else place, DataSettings())


def test_an_object_of_a_store_is_read_up_to_the_limit_only(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1001)
    store = open_store(str(tmp_path))
    assert len(store.read("large", 1001)) == 1001
    with pytest.raises(OversizedError, match=r"larger than 1,000 bytes"):
        store.read("large", 1000)
    with pytest.raises(SourceError, match=r"with --set data\.limits\.bytes=10000"):
        read_source((tmp_path / "large").as_uri(), limited(bytes=1000))


def test_a_table_that_a_step_did_not_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    pq.write_table(pa.table({f"c{n}": pa.array([1.0]) for n in range(STEP_LIMITS.columns + 1)}), path)
    with pytest.raises(ArtifactError, match="10,001 columns, more than 10,000"):
        read_frame(path)


def test_texts_and_categories_are_read_as_before(tmp_path: Path) -> None:
    frame = table().assign(kind=pd.Categorical(["a", "b"] * (len(table()) // 2) + ["a"] * (len(table()) % 2)))
    frame.to_parquet(tmp_path / "market.parquet")
    read = read_source(str(tmp_path / "market.parquet"), DataSettings()).frame
    pd.testing.assert_frame_equal(read, pd.read_parquet(tmp_path / "market.parquet"))


def test_a_table_within_the_limits_is_prepared(tmp_path: Path) -> None:
    assert len(prepare(saved(table(), tmp_path), SETTINGS).dates) == len(table())
