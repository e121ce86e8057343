"""What a Parquet file really holds, beside what it says: for files that were made to deceive.

    … pages, each after a header with its unpacked size … footer · 4 bytes: the footer's length · PAR1

A reader trusts the footer. A small one can hold a million descriptions of columns, each of which takes hundreds of
bytes in memory, and a page may unpack to 2 GB whatever the footer says of it. So the footer's length is looked at
before it is read, and the headers of all pages before they are unpacked. They are written in Thrift's compact
protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); their fields are
defined in https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

import mmap

import pyarrow.parquet as pq

_FOOTER_BYTES = 2**20
_COLUMN_BYTES = 300
"""Of a footer, for each column that is allowed: one with a name of 12 letters takes 200."""
_DEPTH = 3
"""Of values within values: a page, its kind, its statistics."""
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3
"""Fields of a page's header."""
_END, _BOOLEANS, _INTEGERS, _BINARY, _STRUCT = 0, (1, 2), (4, 5, 6), 8, 12
"""Thrift's kinds of values; a page's header has no others."""
_INTEGER_BITS = 64

Content = bytes | mmap.mmap


def refuse_long_footer(content: Content, columns: int) -> None:
    """Check how much a file says of itself.

    Args:
        columns: that a table may have.

    Raises:
        ValueError: it is far larger than that of so few columns.
    """
    allowed = max(_FOOTER_BYTES, columns * _COLUMN_BYTES)
    length = int.from_bytes(content[-8:-4], "little")
    if length > allowed:
        raise ValueError(
            f"it describes itself in {length:,} bytes, more than {allowed:,}; use fewer row groups"
        )


def refuse_contradictions(stated: pq.FileMetaData) -> None:
    """Check that the parts of a footer say the same of the number of rows; there may be no lists.

    Raises:
        ValueError: they do not.
    """
    groups = [stated.row_group(i) for i in range(stated.num_row_groups)]
    counts = [group.num_rows for group in groups]
    for group in groups:
        counts += [group.column(i).num_values - group.num_rows for i in range(group.num_columns)]
    rows = sum(group.num_rows for group in groups)
    if min(counts, default=0) < 0 or sum(counts) != rows or rows != stated.num_rows:
        raise ValueError("its columns do not have the number of rows that it states")


def unpacked_bytes(content: Content, stated: pq.FileMetaData) -> int:
    """Bytes that all pages unpack to, by their headers.

    Raises:
        ValueError: there is no page where one should begin.
    """
    total = 0
    for group in (stated.row_group(i) for i in range(stated.num_row_groups)):
        for column in (group.column(i) for i in range(group.num_columns)):
            start, dictionary = column.data_page_offset, column.dictionary_page_offset or 0
            # A column without rows may have a dictionary and no data page, which is then said to stand at 0.
            if 0 < dictionary < start or start == 0:
                start = dictionary
            total += _unpacked_bytes_between(content, start, start + column.total_compressed_size)
    return total


def _unpacked_bytes_between(content: Content, start: int, end: int) -> int:
    total, at = 0, start
    if not 0 <= start <= end <= len(content):
        raise ValueError("it places a column outside the file")
    while at < end:
        header = _Header(content, at)
        total += header.unpacked
        at = header.end + header.packed
    return total


class _Header:
    """The sizes in a page's header, the largest where one is given twice."""

    def __init__(self, content: Content, start: int) -> None:
        self._content, self._at = content, start
        self.unpacked = self.packed = -1
        self._pass_struct(1)
        self.end = self._at
        if min(self.unpacked, self.packed) < 0:
            raise ValueError("a page of it has no size")

    def _pass_struct(self, depth: int) -> None:
        field = 0
        while (start := self._byte()) != _END:
            step, kind = start >> 4, start & 15
            field = field + step if step else _signed(self._integer())
            if kind in _INTEGERS:
                size = _signed(self._integer())
                if depth == 1 and field == _UNPACKED_SIZE:
                    self.unpacked = max(self.unpacked, size)
                if depth == 1 and field == _PACKED_SIZE:
                    self.packed = max(self.packed, size)
            elif kind == _BINARY:
                length = self._integer()
                self._at += length
            elif kind == _STRUCT and depth < _DEPTH:
                self._pass_struct(depth + 1)
            elif kind not in _BOOLEANS:  # whose kind is the value
                raise ValueError("a page of it does not begin as one")

    def _byte(self) -> int:
        if self._at >= len(self._content):
            raise ValueError("a page of it has no end")
        self._at += 1
        return self._content[self._at - 1]

    def _integer(self) -> int:
        """Seven bits a byte, the lowest first; the last byte has no eighth."""
        value = 0
        for shift in range(0, _INTEGER_BITS, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a page of it has a number without end")


def _signed(value: int) -> int:
    """An integer of which the lowest bit is the sign."""
    return (value >> 1) ^ -(value & 1)
