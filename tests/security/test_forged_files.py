"""Tables whose descriptions of themselves were made to deceive: none gets more memory than is allowed, none breaks out.

Each is a file that some reader believed: an archive's list of files, what a compressor asks for, a Parquet footer.
"""

import io
import lzma
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_core.config.data import DataSettings
from model_core.data.reading.sources import read_source
from model_core.errors import SourceError
from model_core.parquet import read_table
from model_core.parquet_footer import read_footer, refuse_contradictions
from model_core.parquet_pages import unpacked_bytes
from tests.data.market import table

ROWS = 1_000
PAGE_BYTES = 2_000_000_000
CODECS = {"snappy": 1, "zstd": 6}
"""Numbers of Parquet's."""
PEAK = """
import resource, sys
from model_core.config.data import DataSettings
from model_core.data.reading.sources import read_source
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_source(sys.argv[1], DataSettings())
except Exception as error:
    print(type(error).__name__, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def put(folder: Path, content: bytes) -> str:
    (folder / "market").write_bytes(content)
    return str(folder / "market")


def refusal_and_megabytes(source: str) -> tuple[str, int]:
    """What a process of its own says of a table, and how much memory it took beyond that of its start."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, source], capture_output=True, text=True, check=True, timeout=300
    )
    *said, megabytes = done.stdout.splitlines()
    return "\n".join(said), int(megabytes)


# --- archives and compression --------------------------------------------------------------------------


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "Date,Close\n")
    return buffer.getvalue()


def test_a_damaged_archive_is_refused_whatever_it_says_of_its_files(tmp_path: Path) -> None:
    """Python's own reader raises what it likes, such as NotImplementedError for a version of 9.9."""
    content = zipped()
    chance = random.Random(0)
    for _ in range(500):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 4))):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        with pytest.raises(SourceError, match=r"is a ZIP archive|is an Excel workbook"):
            read_source(put(tmp_path, bytes(damaged)), DataSettings())


def test_an_archive_of_a_million_files_is_not_listed(tmp_path: Path) -> None:
    """Each entry of 47 bytes would become an object of 400."""
    entry = (
        b"PK\x01\x02" + bytes([20, 0, 20, 0]) + bytes(20) + struct.pack("<HHH", 1, 0, 0) + bytes(12) + b"a"
    )
    entries, start = entry * 1_000_000, 30
    end = start + len(entries)
    last = struct.pack("<QHHIIQQQQ", 44, 20, 20, 0, 0, 1_000_000, 1_000_000, len(entries), start)
    content = b"PK\x03\x04" + bytes(26) + entries + b"PK\x06\x06" + last
    content += b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    content += b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    said, megabytes = refusal_and_megabytes(put(tmp_path, content))
    assert "is a ZIP archive" in said
    assert megabytes < 2 * len(content) / 2**20 + 50


def xz_with_a_dictionary_of_4_gib(content: bytes) -> bytes:
    """The size stands in one byte of the header, and its checksum can be made anew."""
    packed = bytearray(lzma.compress(content))
    length = (packed[12] + 1) * 4
    packed[16] = 40
    packed[8 + length : 12 + length] = struct.pack("<I", zlib.crc32(packed[12 : 8 + length]))
    return bytes(packed)


def test_an_xz_file_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    content = xz_with_a_dictionary_of_4_gib(b"Date,Open,High,Low,Close\n")
    assert lzma.decompress(content) == b"Date,Open,High,Low,Close\n"
    with pytest.raises(SourceError, match=r"is a damaged xz file \(Memory usage limit exceeded\)"):
        read_source(put(tmp_path, content), DataSettings())


def test_xz_files_of_the_strongest_kind_and_of_several_parts_are_read(tmp_path: Path) -> None:
    text = table().to_csv(index=False).encode()
    half = text.index(b"\n", len(text) // 2) + 1
    parts = [lzma.compress(part, preset=9 | lzma.PRESET_EXTREME) for part in (text[:half], text[half:])]
    read = read_source(put(tmp_path, bytes(8).join(parts) + bytes(4)), DataSettings()).frame
    assert len(read) == len(table())
    with pytest.raises(SourceError, match=r"is a damaged xz file \(it ends in the middle\)"):
        read_source(put(tmp_path, parts[0][:-20]), DataSettings())


# --- Parquet, written by hand in Thrift's compact protocol ----------------------------------------------


def natural(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + natural(number >> 7)


def whole(field: int, number: int, kind: int = 5) -> bytes:
    """A field, so many after the one before, that holds a whole number; 5 is of 32 bits, 6 of 64."""
    return bytes([field << 4 | kind]) + natural(number << 1)


def items(kind: int, *items: bytes) -> bytes:
    return bytes([0xF0 | kind]) + natural(len(items)) + b"".join(items)


def text(words: str) -> bytes:
    return natural(len(words)) + words.encode()


def page(values: int, packed: bytes, unpacked: int) -> bytes:
    """A page of numbers without any that are missing."""
    header = whole(1, 0) + whole(1, unpacked) + whole(1, len(packed))
    return header + b"\x2c" + whole(1, values) + whole(1, 0) + whole(1, 3) + whole(1, 3) + b"\0\0" + packed


def parquet(columns: dict[str, bytes], codec: str, *, values: int = ROWS, rows: int = ROWS) -> bytes:
    """A file of pages, which says that it is small."""
    content, chunks = b"PAR1", []
    for name, pages in columns.items():
        told = whole(1, 5) + b"\x19" + items(5, natural(0)) + b"\x19" + items(8, text(name))
        told += whole(1, CODECS[codec]) + whole(1, values, 6) + whole(1, 8 * ROWS, 6)
        told += whole(1, len(pages), 6) + whole(2, len(content), 6) + b"\0"
        chunks.append(whole(2, len(content), 6) + b"\x1c" + told + b"\0")
        content += pages
    schema = b"\x48" + text("schema") + whole(1, len(columns)) + b"\0"
    fields = [whole(1, 5) + whole(2, 0) + b"\x18" + text(name) + b"\0" for name in columns]
    group = b"\x19" + items(12, *chunks) + whole(1, 8 * ROWS, 6) + whole(1, ROWS, 6) + b"\0"
    footer = whole(1, 1) + b"\x19" + items(12, schema, *fields) + whole(1, rows, 6)
    footer += b"\x19" + items(12, group) + b"\0"
    return content + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.slow
def test_pages_that_unpack_to_gigabytes_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """Each of a file's columns would take 2 GB, as many of them at once as there are processors."""
    packed = pa.compress(memoryview(bytes(PAGE_BYTES)), codec="zstd", asbytes=True)
    names = ("Date", "Open", "High", "Low", "Close")
    pages = page(PAGE_BYTES // 8, packed, PAGE_BYTES)
    said, megabytes = refusal_and_megabytes(put(tmp_path, parquet(dict.fromkeys(names, pages), "zstd")))
    assert "holds 10,000,000,000 bytes, more than data.limits.bytes allows" in said
    assert megabytes < 100


def sound(values: int = ROWS) -> bytes:
    numbers = np.arange(values, dtype=np.float64).tobytes()
    return page(values, pa.compress(numbers, codec="snappy", asbytes=True), len(numbers))


def test_what_is_written_by_hand_here_can_be_read() -> None:
    read = pq.read_table(io.BytesIO(parquet({"Close": sound()}, "snappy")))
    assert read.column("Close").to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("deceit", [{"values": 100_000_000}, {"rows": 10}, {"values": 10}])
def test_a_footer_that_contradicts_itself_is_refused(tmp_path: Path, deceit: dict[str, int]) -> None:
    """As many values are read as the column says, and as many rows were counted as the file says."""
    content = parquet({"Close": sound()}, "snappy", **deceit)
    with pytest.raises(SourceError, match="its columns do not have the number of rows that it states"):
        read_source(put(tmp_path, content), DataSettings())


def test_a_footer_of_a_million_columns_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Three bytes are enough to describe one, which takes five hundred in memory."""
    chunk = whole(2, 4, 6) + b"\0"
    group = b"\x19" + items(12, *[chunk] * 100_000) + whole(1, 0, 6) + whole(1, 0, 6) + b"\0"
    schema = b"\x48" + text("schema") + whole(1, 1) + b"\0"
    field = whole(1, 5) + whole(2, 0) + b"\x18" + text("Close") + b"\0"
    footer = whole(1, 1) + b"\x19" + items(12, schema, field) + whole(1, 0, 6)
    footer += b"\x19" + items(12, *[group] * 20) + b"\0"
    content = b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"
    said, megabytes = refusal_and_megabytes(put(tmp_path, content))
    assert f"its footer has {len(footer):,} bytes, more than 3,000,000" in said
    assert megabytes < 100


@pytest.mark.parametrize(
    ("field", "within"),
    [(b"\x19", b"\x19"), (b"\x1b", b"\x01\xbb"), (b"", b"\x1c")],
    ids=["lists", "maps", "structures"],
)
def test_a_footer_of_values_within_values_is_refused_however_deep_it_goes(
    field: bytes, within: bytes, tmp_path: Path
) -> None:
    footer = field + within * 50_000
    content = b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"
    with pytest.raises(SourceError, match="its footer holds values too deep within one another"):
        read_source(put(tmp_path, content), DataSettings())


def test_a_row_group_that_contradicts_the_schema_does_not_end_the_process(tmp_path: Path) -> None:
    """A column that says it is never empty, beside counts of its empty values: PyArrow aborts when asked for it."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"Close": pa.array([1.0, None])}), sink)
    optional, required = b"\x25\x02", b"\x25\x00"
    assert optional in sink.getvalue()
    said, _ = refusal_and_megabytes(put(tmp_path, sink.getvalue().replace(optional, required)))
    assert said.startswith("SourceError")
    assert "histogram size mismatch" in said


@pytest.mark.parametrize("seed", range(20))
def test_damaged_pages_are_refused_or_read_but_nothing_else_happens(tmp_path: Path, seed: int) -> None:
    content = parquet({"Close": sound()}, "snappy")
    chance = random.Random(seed)
    for _ in range(50):
        damaged = bytearray(content)
        damaged[chance.randrange(4, 40)] = chance.randrange(256)
        with suppress(SourceError):
            read_source(put(tmp_path, bytes(damaged)), DataSettings())


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_pages_are_counted_in_files_of_every_kind(codec: str, version: str) -> None:
    """What the headers of a sound file say is what its footer says without the headers themselves."""
    rows = 30_000
    columns = pa.table(
        {
            "number": np.random.default_rng(0).normal(size=rows),
            "missing": pa.array([None, 1.0, 2.0] * (rows // 3)),
            "text": [f"a text {n % 100}" for n in range(rows)],
            "truth": pa.array([True, None] * (rows // 2)),
            "day": pa.array(np.arange(rows).astype("datetime64[D]")),
            "pair": pa.array([{"a": 1, "b": "x"}] * rows),
        }
    )
    sink = io.BytesIO()
    pq.write_table(
        columns, sink, compression=codec, data_page_version=version, row_group_size=10_000,
        write_page_index=True, write_page_checksum=True, data_page_size=20_000,
    )  # fmt: skip
    stated = pq.ParquetFile(sink).metadata
    groups = [stated.row_group(i) for i in range(stated.num_row_groups)]
    said = sum(group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns))
    footer = read_footer(sink.getvalue(), columns.num_columns)
    assert footer.rows == rows
    assert [group.rows for group in footer.groups] == [group.num_rows for group in groups]
    assert [group.unpacked_bytes for group in footer.groups] == [group.total_byte_size for group in groups]
    refuse_contradictions(footer)
    counted = unpacked_bytes(sink.getvalue(), footer)
    assert 0.9 * said < counted <= said


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_table_without_rows_is_no_forgery(dictionary: bool, tmp_path: Path) -> None:
    """Its columns have a dictionary at most, and a first page that is said to stand at byte 0."""
    empty = pa.table({"date": pa.array([], pa.timestamp("s")), "log_close": pa.array([], pa.float64())})
    pq.write_table(empty, tmp_path / "future.parquet", use_dictionary=dictionary)
    assert read_table(tmp_path / "future.parquet").schema.names == ["date", "log_close"]
