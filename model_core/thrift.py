"""Thrift's compact protocol, as far as Parquet needs it to be read.

    struct   fields, then a byte 0
    field    a byte: steps from the field before · kind of value; without steps the field's number follows
    integer  seven bits a byte, the lowest first; whose lowest bit is the sign where a value can be negative
    binary   length, bytes
    list     a byte: size · kind of its values; the size follows where it is 15 or more

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. Everything is read in one pass
that takes no memory for what is passed over, so that a hostile file costs no more than its own length.
"""

import mmap
from collections.abc import Iterator

Content = bytes | mmap.mmap

TRUE, FALSE, BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
"""Kinds of values."""
INTEGERS = (INT16, INT32, INT64)
_END = 0
_FIXED_BYTES = {BYTE: 1, DOUBLE: 8, UUID: 16}
_LONG_LIST = 15
_INTEGER_BITS = 64


class CompactReader:
    """Reads values one after the other; ``at`` is where the next one begins.

    Args:
        end: where the content ends that may be read.
        name: what is read, for errors.
        depth: of structures, lists and maps within one another.
    """

    def __init__(self, content: Content, at: int, end: int, name: str, depth: int) -> None:
        self.at = at
        self._content, self._end, self._name, self._depth = content, end, name, depth

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a structure; its value has to be read or skipped before the next.

        Raises:
            ValueError: the structure has no end, or lies too deep in others.
        """
        self._go_deeper()
        field = 0
        while (start := self._byte()) != _END:
            step = start >> 4
            field = field + step if step else self.signed()
            yield field, start & 15
        self._depth += 1

    def items(self) -> Iterator[int]:
        """Kind of each value of a list, which has to be read or skipped before the next.

        Raises:
            ValueError: the list has no end, or lies too deep in others.
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
            ValueError: it has more than 64 bits.
        """
        value = 0
        for shift in range(0, _INTEGER_BITS, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(f"{self._name} has a number without end")

    def signed(self) -> int:
        """An integer of which the lowest bit is the sign."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def skip(self, kind: int, in_list: bool = False) -> None:
        """Pass over a value.

        Args:
            in_list: whether it is one of a list, where a truth takes a byte; that of a field is its kind.

        Raises:
            ValueError: there is no such kind of value, or it has no end.
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
            raise ValueError(f"{self._name} holds a value of no known kind")

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
            raise ValueError(f"{self._name} holds values within values without end")
        self._depth -= 1

    def _pass_bytes(self, count: int) -> None:
        if count > self._end - self.at:
            raise ValueError(f"{self._name} has no end")
        self.at += count

    def _byte(self) -> int:
        at = self.at
        self._pass_bytes(1)
        return self._content[at]
