"""Where a market table comes from: a sample, a CSV or Parquet file, or an object store.

A source is a URI: ``sample://nasdaq``, ``sample://sp500``, ``sample://synthetic``, a path, or
``s3://bucket/key``. What comes back is the table as it is there; ``reading/table.py`` checks it.
"""

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from model_core.config.data import DataSettings
from model_core.config.table import LimitSettings
from model_core.data.reading.files.containers import PARQUET, opened
from model_core.data.reading.files.parquet_tables import read_parquet
from model_core.data.reading.files.text_tables import read_text_table
from model_core.data.reading.problems import too_large
from model_core.data.reading.samples import SAMPLE_URIS, sample, sample_of
from model_core.errors import OversizedError, SourceError
from model_core.store.locate import read_uri
from model_core.store.names import scheme_of


@dataclass(frozen=True)
class SourceTable:
    """A table as found, with what is needed to recognize it again."""

    uri: str
    frame: pd.DataFrame
    sha256: str
    """Of the file's bytes, or of a sample's CSV text."""
    reading: Mapping[str, str] = field(default_factory=dict)
    """How the file was understood, for people: its kind, delimiter, header, …"""


def read_source(uri: str, settings: DataSettings) -> SourceTable:
    """Read the market table at ``uri``; nothing is checked or converted yet.

    Raises:
        SourceError: there is nothing at ``uri``, or it is neither CSV nor Parquet.
        StoreError: an object store cannot be reached.
    """
    if (name := sample_of(uri)) is not None:
        frame = sample(name, settings)
        return SourceTable(uri, frame, hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest())
    content = _content(uri, settings.limits)
    sha256 = hashlib.sha256(content).hexdigest()
    table, compression = opened(uri, content, settings.limits)
    if table.startswith(PARQUET):
        frame, reading = read_parquet(uri, table, settings.limits), {"file": "Parquet"}
    else:
        frame, reading = read_text_table(uri, table, settings)
        reading = {"file": "CSV", **reading}
    if compression:
        reading["compression"] = compression
    return SourceTable(uri, frame, sha256, reading)


def _content(uri: str, limits: LimitSettings) -> bytes:
    try:
        content = _file(uri, limits.bytes + 1) if scheme_of(uri) is None else read_uri(uri, limits.bytes)
    except OversizedError as error:
        raise too_large(uri, f"is larger than {limits.bytes:,} bytes", "bytes", 10 * limits.bytes) from error
    if len(content) > limits.bytes:
        raise too_large(uri, f"is larger than {limits.bytes:,} bytes", "bytes", 10 * limits.bytes)
    return content


def _file(uri: str, max_bytes: int) -> bytes:
    """The first ``max_bytes`` of a file."""
    if not uri.strip():
        raise SourceError(
            "the name of the table is empty; give a CSV or Parquet file, s3://… or sample://nasdaq"
        )
    try:
        path = Path(uri).expanduser()
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{uri} is a folder; give the CSV or Parquet file in it")
        if not stat.S_ISREG(mode):
            raise SourceError(f"{uri} is a device or a pipe; write the table to a file and give that")
        with path.open("rb") as file:
            return file.read(max_bytes)
    except FileNotFoundError as error:
        raise SourceError(
            f"{uri} does not exist; give a CSV or Parquet file, s3://…, or one of " + SAMPLE_URIS
        ) from error
    except OSError as error:
        raise SourceError(
            f"{uri} cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    except (RuntimeError, ValueError) as error:  # an unknown user's home; a null character
        raise SourceError(f"{uri} does not name a file ({error}); check the path") from error
