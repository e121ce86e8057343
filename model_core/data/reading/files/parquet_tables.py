"""A Parquet file as a plain frame: one header level, no index, and every column under a name of its own."""

import pandas as pd
import pyarrow as pa

from model_core.config.table import LimitSettings
from model_core.data.reading.files.column_names import INDEX, distinct, flat_names
from model_core.data.reading.problems import too_large
from model_core.errors import SourceError, quoted
from model_core.parquet import LimitError, ListsError, TableLimits, as_frame, read_table


def read_parquet(uri: str, content: bytes, limits: LimitSettings) -> pd.DataFrame:
    """The table of a Parquet file; what it holds as its index comes first, as columns.

    Raises:
        SourceError: the file is damaged, holds lists, or is larger than the limits allow.
    """
    allowed = TableLimits(rows=limits.rows, columns=limits.columns, bytes=limits.bytes)
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
