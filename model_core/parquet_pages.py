"""What the pages of a Parquet file unpack to, whatever its footer says of it: up to 2 GB each, from a few bytes.

The headers of all pages are read before a page is unpacked. They are written in Thrift's compact protocol; their
fields are defined in https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from model_core.parquet_footer import Footer
from model_core.thrift import BINARY, FALSE, INTEGERS, STRUCT, TRUE, CompactReader, Content

_DEPTH = 3
"""Of values within values: a page, its kind, its statistics."""
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3
"""Fields of a page's header."""
_KINDS = (TRUE, FALSE, *INTEGERS, BINARY, STRUCT)
"""Of values; a page's header has no others."""


def unpacked_bytes(content: Content, footer: Footer) -> int:
    """Bytes that all pages unpack to, by their headers.

    Raises:
        ValueError: there is no page where one should begin.
    """
    return sum(
        _unpacked_bytes_between(content, column.start, column.start + column.packed_bytes)
        for group in footer.groups
        for column in group.columns
    )


def _unpacked_bytes_between(content: Content, start: int, end: int) -> int:
    total, at = 0, start
    if not 0 <= start <= end <= len(content):
        raise ValueError("it places a column outside the file")
    while at < end:
        unpacked, packed, header_end = _page_sizes(content, at)
        total += unpacked
        at = header_end + packed
    return total


def _page_sizes(content: Content, start: int) -> tuple[int, int, int]:
    """Bytes of a page unpacked and packed, the largest where a size is given twice, and where its header ends."""
    reader = CompactReader(content, start, len(content), "a page of it", _DEPTH)
    sizes = {_UNPACKED_SIZE: -1, _PACKED_SIZE: -1}
    for field, kind in reader.fields():
        if field in sizes and kind in INTEGERS:
            sizes[field] = max(sizes[field], reader.signed())
        elif kind in _KINDS:
            reader.skip(kind)
        else:
            raise ValueError("a page of it does not begin as one")
    if min(sizes.values()) < 0:
        raise ValueError("a page of it has no size")
    return sizes[_UNPACKED_SIZE], sizes[_PACKED_SIZE], reader.at
