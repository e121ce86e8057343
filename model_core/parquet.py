"""Parquet files within limits: what a file says of its size is compared before its values are read.

A few kilobytes may stand for hundreds of millions of rows, for a text repeated a million times, or for lists
without end. Rows, columns and bytes come from the file's metadata, which have to agree with each other and with the
pages that they describe; a text is read as a dictionary first, where each of its values stands once, and unfolded
only if the result fits.
"""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model_core.errors import ArtifactError, shortened
from model_core.parquet_footer import Footer, read_footer, refuse_contradictions
from model_core.parquet_pages import unpacked_bytes
from model_core.thrift import Content

_NUMBER_BYTES = 8
_NAME_CHARACTERS = 1_000
"""Longest name of a column."""


@dataclass(frozen=True)
class TableLimits:
    """The most that a table may hold."""

    rows: int
    columns: int
    bytes: int
    """Of its values when they are read."""


STEP_LIMITS = TableLimits(rows=50_000_000, columns=10_000, bytes=2**31)
"""For what a step of this project wrote: far above any of them, far below what fills a machine."""


class LimitError(ValueError):
    """A table is larger than a limit; the message says in what, the attributes say in which."""

    def __init__(self, limit: str, found: int, allowed: int) -> None:
        super().__init__(f"{found:,} {limit}, more than {allowed:,}")
        self.limit = limit
        self.found = found


class ListsError(ValueError):
    """A column holds lists, whose length nothing in a file's metadata bounds; ``column`` is its name."""

    def __init__(self, column: str) -> None:
        super().__init__(f"its column {column} holds lists of unbounded length")
        self.column = column


def read_table(source: Path | bytes, limits: TableLimits = STEP_LIMITS) -> pa.Table:
    """The table of a Parquet file, given by its path or content.

    Raises:
        LimitError: the table exceeds a limit.
        ListsError: a column holds lists.
        pyarrow.ArrowException, OSError, ValueError: the file is damaged.
    """
    with _content_of(source) as content:
        footer = read_footer(content, limits.columns)
        _check_footer(footer, limits)
        file = pq.ParquetFile(_opened(source))
        _check_schema(file.metadata, limits)
        refuse_contradictions(footer)
        _check("bytes", unpacked_bytes(content, footer), limits)
    texts = [
        column.path
        for column in map(file.schema.column, range(len(file.schema)))
        if column.physical_type == "BYTE_ARRAY"
    ]
    table: pa.Table = pq.ParquetFile(_opened(source), read_dictionary=texts).read()
    _check("bytes", _unfolded_bytes(table), limits)
    for position, field in enumerate(file.schema_arrow):
        column = table.column(position)
        if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(field.type):
            plain = [chunk.dictionary_decode() for chunk in column.chunks]
            table = table.set_column(
                position, field.name, pa.chunked_array(plain, type=column.type.value_type)
            )
    return table


def as_frame(table: pa.Table) -> pd.DataFrame:
    """A table as pandas has it, with the index that the file says it has.

    Raises:
        ValueError: what the file says of pandas does not fit its columns, or a name is beyond all measure.
    """
    # With several header levels names are parsed, and one of 20,000 nested brackets fills the parser's memory.
    longest = max(map(len, table.column_names), default=0)
    if longest > _NAME_CHARACTERS:
        raise ValueError(f"a column's name has {longest:,} characters, more than {_NAME_CHARACTERS:,}")
    try:
        frame: pd.DataFrame = table.to_pandas()
    except MemoryError:
        raise
    except Exception as error:  # pyarrow follows these notes unchecked, and stumbles in ways of its own
        raise ValueError("what it notes for pandas does not fit its columns") from error
    return frame


def read_frame(path: Path) -> pd.DataFrame:
    """Read a Parquet table that a step wrote.

    Raises:
        ArtifactError: the file is missing, damaged, or larger than any step's.
    """
    try:
        return as_frame(read_table(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; run the step that makes it", path=path) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read as Parquet ({shortened(str(error))}); run the step that makes it again",
            path=path,
        ) from error


def _opened(source: Path | bytes) -> str | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else str(source)


@contextmanager
def _content_of(source: Path | bytes) -> Iterator[Content]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _check(limit: str, found: int, limits: TableLimits) -> None:
    allowed = {"rows": limits.rows, "columns": limits.columns, "bytes": limits.bytes}[limit]
    if found > allowed:
        raise LimitError(limit, found, allowed)


def _check_footer(footer: Footer, limits: TableLimits) -> None:
    _check("rows", footer.rows, limits)
    _check("bytes", sum(group.unpacked_bytes for group in footer.groups), limits)


def _check_schema(stated: pq.FileMetaData, limits: TableLimits) -> None:
    _check("columns", stated.num_columns, limits)
    columns = [stated.schema.column(i) for i in range(stated.num_columns)]
    lists = [column.path.split(".")[0] for column in columns if column.max_repetition_level]
    if lists:
        raise ListsError(lists[0])
    widths = (column.length if column.length > 0 else _NUMBER_BYTES for column in columns)
    _check("bytes", stated.num_rows * sum(widths), limits)


def _unfolded_bytes(table: pa.Table) -> int:
    """Bytes that the table takes with every text written out."""
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            total += chunk.nbytes
            if pa.types.is_dictionary(chunk.type) and _has_length(chunk.type.value_type):
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                total += pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
    return total


def _has_length(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )
