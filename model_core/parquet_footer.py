"""What a Parquet file says of itself, read before a library believes it.

    pages · footer (rows · row groups: rows, bytes, columns: values, where their pages are) · its length · PAR1

A small footer can hold a million descriptions of columns, each of which takes hundreds of bytes in memory. And
PyArrow ends the whole process when it is asked for a row group that contradicts the file's schema, since
``FileMetaData.row_group`` does not catch the exception of its C++ code. So the footer's length is checked before it is
read, and the few numbers that are needed of it are read here. Its fields are defined in
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from model_core.thrift import INTEGERS, LIST, STRUCT, CompactReader, Content

_FOOTER_BYTES = 2**20
"""Allowed for any footer."""
_COLUMN_BYTES = 300
"""Allowed for each column that a table may have, if that is more; one with a name of 12 letters takes 200."""
_MAGIC = b"PAR1"
_ENDING_BYTES = 8
"""The footer's length, and PAR1."""
_DEPTH = 12
"""How deep structures and lists may lie within one another; the deepest that Parquet defines lie 8 deep."""

# Numbers of fields in parquet.thrift.
_FILE_ROWS, _FILE_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_BYTES, _GROUP_ROWS = 1, 2, 3
_CHUNK_METADATA = 3
_COLUMN_VALUES, _COLUMN_PACKED, _COLUMN_PAGES, _COLUMN_DICTIONARY = 5, 7, 9, 11


class ColumnChunk(NamedTuple):
    """A column's part of a row group: how many values it has, and where in the file its pages are."""

    values: int
    start: int
    """Of its first page, in bytes from the file's beginning."""
    packed_bytes: int
    """Length of all its pages as they are stored."""


class RowGroup(NamedTuple):
    """Some of a file's rows, with all their columns."""

    rows: int
    """−1 if the footer does not say."""
    unpacked_bytes: int
    """Of all columns; −1 if the footer does not say."""
    columns: tuple[ColumnChunk, ...]


@dataclass(frozen=True)
class Footer:
    """What a file says of its rows."""

    rows: int
    """−1 if it does not say."""
    groups: tuple[RowGroup, ...]


def read_footer(content: Content, columns: int) -> Footer:
    """Read what a file says of itself.

    Args:
        content: of the whole file.
        columns: how many a table may have.

    Raises:
        ValueError: its footer is longer than so few columns need, or cannot be read.
    """
    if content[-4:] != _MAGIC:
        raise ValueError("it does not end as a Parquet file does; it is cut off or encrypted")
    length = int.from_bytes(content[-_ENDING_BYTES:-4], "little")
    allowed = max(_FOOTER_BYTES, columns * _COLUMN_BYTES)
    if length > allowed:
        raise ValueError(
            f"its footer has {length:,} bytes, more than {allowed:,}; write it with fewer row groups"
        )
    end = len(content) - _ENDING_BYTES
    if length > end:
        raise ValueError("its footer begins before the file does")
    reader = CompactReader(content, end - length, end, "its footer", _DEPTH)
    rows = -1
    groups: tuple[RowGroup, ...] = ()
    for field, kind in reader.fields():
        if field == _FILE_ROWS and kind in INTEGERS:
            rows = reader.signed()
        elif field == _FILE_GROUPS and kind == LIST:
            groups = tuple(_row_group(reader) for _ in _structures(reader))
        else:
            reader.skip(kind)
    return Footer(rows, groups)


def refuse_contradictions(footer: Footer) -> None:
    """Check that a file, its row groups and their columns agree on the number of rows; a column of lists does not.

    Raises:
        ValueError: they do not agree.
    """
    rows = [group.rows for group in footer.groups]
    values = [column.values - group.rows for group in footer.groups for column in group.columns]
    if min(rows, default=0) < 0 or any(values) or sum(rows) != footer.rows:
        raise ValueError("its columns do not have the number of rows that it states")


def _row_group(reader: CompactReader) -> RowGroup:
    rows = unpacked = -1
    columns: tuple[ColumnChunk, ...] = ()
    for field, kind in reader.fields():
        if field == _GROUP_ROWS and kind in INTEGERS:
            rows = reader.signed()
        elif field == _GROUP_BYTES and kind in INTEGERS:
            unpacked = reader.signed()
        elif field == _GROUP_COLUMNS and kind == LIST:
            columns = tuple(_column_chunk(reader) for _ in _structures(reader))
        else:
            reader.skip(kind)
    return RowGroup(rows, unpacked, columns)


def _column_chunk(reader: CompactReader) -> ColumnChunk:
    numbers: dict[int, int] = {}
    for field, kind in reader.fields():
        if field == _CHUNK_METADATA and kind == STRUCT:
            numbers = _integers(reader)
        else:
            reader.skip(kind)
    try:
        values, packed, start = (numbers[n] for n in (_COLUMN_VALUES, _COLUMN_PACKED, _COLUMN_PAGES))
    except KeyError:
        raise ValueError("its footer does not say where a column's pages are") from None
    dictionary = numbers.get(_COLUMN_DICTIONARY, 0)
    # A column without rows may have a dictionary and no data page, which is then said to stand at 0.
    if 0 < dictionary < start or start == 0:
        start = dictionary
    return ColumnChunk(values, start, packed)


def _integers(reader: CompactReader) -> dict[int, int]:
    numbers = {}
    for field, kind in reader.fields():
        if kind in INTEGERS:
            numbers[field] = reader.signed()
        else:
            reader.skip(kind)
    return numbers


def _structures(reader: CompactReader) -> Iterator[None]:
    for kind in reader.items():
        if kind != STRUCT:
            raise ValueError("its footer holds something else where row groups or columns should be")
        yield
