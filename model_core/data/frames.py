"""A Parquet file as a plain frame: one header level, no index, and every column under a name of its own."""

from collections import Counter
from collections.abc import Hashable, Sequence

import pandas as pd
import pyarrow as pa

from model_core.config.table import LimitSettings
from model_core.data.problems import too_large
from model_core.errors import SourceError, quoted
from model_core.parquet import LimitError, Limits, ListsError, as_frame, read_table

INDEX = "index"
"""What an index without a name is called."""


def read_parquet(uri: str, content: bytes, limits: LimitSettings) -> pd.DataFrame:
    """The table of a Parquet file; what it holds as its index comes first, as columns.

    Raises:
        SourceError: the file is damaged, holds lists, or is larger than the limits allow.
    """
    allowed = Limits(rows=limits.rows, columns=limits.columns, bytes=limits.bytes)
    try:
        frame = as_frame(read_table(content, allowed))
    except LimitError as error:
        raise too_large(uri, f"holds {error.found:,} {error.limit}", error.limit, error.found) from error
    except ListsError as error:
        raise SourceError(
            f"{uri} holds lists in its column {quoted(error.column)}, which a price table has no use for; write it "
            "without that column"
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{uri} is a damaged Parquet file ({str(error)[:200]}); write it again") from error
    frame.columns = pd.Index(distinct(flat_names(list(frame.columns))))
    return _without_index(frame)


def column_name(position: int) -> str:
    """What the column at ``position`` (from 0) is called if the table gives it no name."""
    return f"column {position + 1}"


def distinct(names: Sequence[str]) -> list[str]:
    """Names with which every column can be called: blank and repeated ones get their position."""
    counts = Counter(name.strip() for name in names)
    named = []
    for position, name in enumerate(name.strip() for name in names):
        if not name:
            named.append(column_name(position))
        else:
            named.append(f"{name} ({column_name(position)})" if counts[name] > 1 else name)
    return named


def flat_names(columns: Sequence[Hashable]) -> list[str]:
    """One name for each column of one or several header levels.

    A level on which all columns agree, such as the only ticker of a download, says nothing and is left out.
    """
    levels = [
        tuple(map(_text, column)) if isinstance(column, tuple) else (_text(column),) for column in columns
    ]
    told = [
        level
        for level in zip(*levels, strict=True)
        if len(set(filter(None, level))) > 1 or len(levels[0]) == 1
    ]
    if not told:
        return [" ".join(filter(None, level)) for level in levels]
    return [" ".join(filter(None, parts)) for parts in zip(*told, strict=True)]


def _text(part: object) -> str:
    return "" if part is None or part != part or str(part).startswith("Unnamed:") else str(part).strip()


def _without_index(frame: pd.DataFrame) -> pd.DataFrame:
    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        return frame
    columns: dict[str, pd.Series] = {}
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        name = INDEX if values.name is None else str(values.name)
        if name in frame.columns:
            if list(values) == list(frame[name]):
                continue
            name = f"{name} (index)"
        columns[name] = pd.Series(values, index=frame.index)
    return pd.concat([pd.DataFrame(columns, index=frame.index), frame], axis=1).reset_index(drop=True)
