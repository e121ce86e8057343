"""Thrift's compact protocol, as much of it as reading Parquet takes.

    struct   its fields, then a byte 0
    field    a byte of two halves: number less that of the field before · kind of value; after a 0 in the first half
             the number itself follows, a signed integer
    integer  seven bits a byte, lowest first; where it may be negative, its lowest bit is the sign (zigzag)
    binary   its length, its bytes
    list     a byte of two halves: size · kind of its values; after a 15 in the first half the size itself follows
    map      its size; if that is not 0, a byte of two halves: kind of its keys · of its values; keys and values

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. One pass reads everything
and takes no memory for what it skips, so that a hostile file costs no more than its own length.
"""

import mmap
from collections.abc import Iterator

Content = bytes | mmap.mmap

TRUE, FALSE, BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
"""Kinds of values, by their numbers in the protocol."""
INTEGERS = (INT16, INT32, INT64)
_END = 0
_FIXED_BYTES = {BYTE: 1, DOUBLE: 8, UUID: 16}
_LONG_LIST = 15
_INTEGER_BITS = 64


class CompactReader:
    """Reads values one after the other; ``at`` is where the next one begins.

    Args:
        content: bytes, of which those from ``at`` to before ``end`` are read.
        name: what messages call them.
        depth: how many structures, lists and maps may lie within one another.
    """

    def __init__(self, content: Content, at: int, end: int, name: str, depth: int) -> None:
        self.at = at
        self._content, self._end, self._name, self._depth = content, end, name, depth

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a structure; read or skip its value before asking for the next.

        Raises:
            ValueError: the content ends before the structure does, or it lies too deep in others.
        """
        self._go_deeper()
        field = 0
        while (start := self._byte()) != _END:
            step = start >> 4
            field = field + step if step else self.signed()
            yield field, start & 15
        self._depth += 1

    def items(self) -> Iterator[int]:
        """Kind of each value of a list; read or skip the value before asking for the next.

        Raises:
            ValueError: the content ends before the list does, or it lies too deep in others.
        """
        self._go_deeper()
        start = self._byte()
        size = start >> 4
        for _ in range(self.unsigned() if size == _LONG_LIST else size):
            yield start & 15
        self._depth += 1

    def unsigned(self) -> int:
        """An integer that is never negative.

        Raises:
            ValueError: it takes more than the ten bytes that 64 bits need, or the content ends within it.
        """
        value = 0
        for shift in range(0, _INTEGER_BITS, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(f"{self._name} has a number of more than ten bytes")

    def signed(self) -> int:
        """An integer that may be negative.

        Raises:
            ValueError: as ``unsigned``.
        """
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def skip(self, kind: int, in_list: bool = False) -> None:
        """Pass over a value.

        Args:
            in_list: whether it is in a list or a map, where a truth value takes a byte; that of a field is its kind.

        Raises:
            ValueError: there is no such kind of value, or the content ends within it.
        """
        if kind in (TRUE, FALSE):
            self._pass_bytes(int(in_list))
        elif kind in INTEGERS:
            self.unsigned()
        elif kind == BINARY:
            self._pass_bytes(self.unsigned())
        elif kind in (LIST, SET):
            for item in self.items():
                self.skip(item, in_list=True)
        elif kind == MAP:
            self._skip_map()
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind in _FIXED_BYTES:
            self._pass_bytes(_FIXED_BYTES[kind])
        else:
            raise ValueError(f"{self._name} holds a value of an unknown kind")

    def _skip_map(self) -> None:
        self._go_deeper()
        size = self.unsigned()
        kinds = self._byte() if size else 0
        for _ in range(size):
            self.skip(kinds >> 4, in_list=True)
            self.skip(kinds & 15, in_list=True)
        self._depth += 1

    def _go_deeper(self) -> None:
        if self._depth == 0:
            raise ValueError(f"{self._name} holds values too deep within one another")
        self._depth -= 1

    def _pass_bytes(self, count: int) -> None:
        if count > self._end - self.at:
            raise ValueError(f"{self._name} ends in the middle of a value")
        self.at += count

    def _byte(self) -> int:
        at = self.at
        self._pass_bytes(1)
        return self._content[at]
