"""Where a market table comes from: a sample, a CSV or Parquet file, or an object store.

A source is a URI: ``sample://nasdaq``, ``sample://sp500``, ``sample://synthetic``, a path, or
``s3://bucket/key``. What comes back is the table as it stands there; ``table.py`` checks it.
"""

import csv
import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model_core.config.run import DataSettings
from model_core.data.synthetic import synthetic_table
from model_core.errors import SourceError
from model_core.store.locate import read_uri

SAMPLES = ("nasdaq", "sp500", "synthetic")
_SAMPLE_SCHEME = "sample://"


@dataclass(frozen=True)
class SourceTable:
    """A table as found, with what is needed to recognise it again."""

    uri: str
    frame: pd.DataFrame
    sha256: str
    """Of the file's bytes, or of a sample's CSV text."""


def read_source(uri: str, settings: DataSettings) -> SourceTable:
    """Read the market table at ``uri``; nothing is checked or converted yet.

    Raises:
        SourceError: there is nothing at ``uri``, or it is neither CSV nor Parquet.
        StoreError: an object store cannot be reached.
    """
    if uri.startswith(_SAMPLE_SCHEME):
        frame = _sample(uri.removeprefix(_SAMPLE_SCHEME), settings)
        return SourceTable(uri, frame, hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest())
    content = _content(uri)
    if not content.strip():
        raise SourceError(
            f"{uri} is empty; give a CSV or Parquet table with a date, Open, High, Low and Close"
        )
    return SourceTable(uri, _parse(uri, content), hashlib.sha256(content).hexdigest())


def _content(uri: str) -> bytes:
    if "://" in uri:
        return read_uri(uri)
    path = Path(uri).expanduser()
    if path.is_dir():
        raise SourceError(f"{uri} is a folder; give the CSV or Parquet file in it")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(
            f"{uri} does not exist; give a CSV or Parquet file, s3://…, or one of "
            + ", ".join(_SAMPLE_SCHEME + name for name in SAMPLES)
        ) from error
    except OSError as error:
        raise SourceError(
            f"{uri} cannot be read ({error.strerror}); check the path and its permissions"
        ) from error


def _parse(uri: str, content: bytes) -> pd.DataFrame:
    """Parquet by its magic number, CSV otherwise; everything in a CSV stays text for the checks."""
    if content[:4] == b"PAR1":
        try:
            frame: pd.DataFrame = pq.read_table(io.BytesIO(content)).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{uri} is a damaged Parquet file ({error}); write it again") from error
        if frame.index.name is not None or isinstance(frame.index, pd.DatetimeIndex):
            return frame.reset_index(names=str(frame.index.name or "date"))
        return frame
    try:
        text = content.decode("utf-8-sig")
        header = next(line for line in text.splitlines() if line.strip())
        separator = max(",;\t", key=header.count)
        frame = pd.read_csv(io.StringIO(text), dtype=str, sep=separator, skipinitialspace=True)
        names = next(csv.reader([header], delimiter=separator, skipinitialspace=True))
        if len(names) == frame.shape[1]:
            frame.columns = pd.Index(names)  # pandas would rename the second of two equal names
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceError(
            f"{uri} is no table ({str(error).splitlines()[0]}); give CSV (UTF-8, one header line) or Parquet"
        ) from error
    return frame


def _sample(name: str, settings: DataSettings) -> pd.DataFrame:
    match name:
        case "nasdaq" | "sp500":
            return _packaged_table(name)
        case "synthetic":
            return synthetic_table(settings.synthetic, settings.sky)
        case _:
            known = ", ".join(_SAMPLE_SCHEME + sample for sample in SAMPLES)
            raise SourceError(f"{_SAMPLE_SCHEME}{name} is no sample; choose one of {known}")


def _packaged_table(name: str) -> pd.DataFrame:
    """A table that the distribution ``arch`` carries.

    Found without importing ``arch``, which would load scipy and statsmodels: seconds, and 200 MB in an image.
    """
    package = importlib.util.find_spec("arch")
    if package is None or package.origin is None:
        raise SourceError(f"{_SAMPLE_SCHEME}{name} comes with the package arch; install it, or name a table")
    frame = pd.read_csv(Path(package.origin).parent / "data" / name / f"{name}.csv.gz", parse_dates=["Date"])
    numbers = frame.columns.drop("Date")
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")
    return frame
