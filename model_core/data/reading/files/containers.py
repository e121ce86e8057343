"""What a file is, by its content: compressed, a Parquet file, text, or something that is not a table."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Self

import pyarrow as pa

from model_core.config.table import LimitSettings
from model_core.data.reading.problems import too_large
from model_core.errors import SourceError

PARQUET = b"PAR1"


_XZ_BYTES = 2**28
"""Of memory for unpacking: ``xz -9`` needs 65 MB, and a file of a hundred bytes may ask for gigabytes."""


class _Xz:
    """What ``lzma.LZMAFile`` does, within a limit of memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is open."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes of all streams, one after the other; zeros may stand between them."""
        blocks, rest = [], self._content
        while rest and size:
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_BYTES)
            while size and not stream.eof:
                block = stream.decompress(rest, size)
                if not block and not stream.eof:
                    raise EOFError("it ends in the middle")
                rest = b""
                size -= len(block)
                blocks.append(block)
            rest = stream.unused_data.lstrip(b"\0")
        return b"".join(blocks)


def _zstandard(content: bytes) -> Any:
    return pa.input_stream(io.BytesIO(content), compression="zstd")


_COMPRESSIONS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "gzip": (b"\x1f\x8b", lambda content: gzip.GzipFile(fileobj=io.BytesIO(content))),
    "bzip2": (b"BZh", lambda content: bz2.BZ2File(io.BytesIO(content))),
    "xz": (b"\xfd7zXZ\x00", _Xz),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstandard),
}
_WEB_PAGE = "a web page (HTML), perhaps a log-in page; download the table itself, or save it as CSV"
_UNPACK = "unpack it and give the table in it"
_NO_TABLE = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls); save the sheet as CSV",
    b"%PDF": "a PDF document; get the table as CSV",
    b"ARROW1": "an Arrow (Feather) file; write it as Parquet",
    b"FEA1": "an Arrow (Feather) file; write it as Parquet",
    b"Obj\x01": "an Avro file; write the table as Parquet",
    b"\x89HDF": "an HDF5 file; write the table as Parquet",
    b"\x93NUMPY": "a NumPy array; write the table as CSV or Parquet",
    b"\x80\x04\x95": "a Python pickle; write the table as CSV or Parquet",
    b"\x80\x05\x95": "a Python pickle; write the table as CSV or Parquet",
    b"PARE": "an encrypted Parquet file; write it without encryption",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"7z\xbc\xaf\x27\x1c": f"a 7z archive; {_UNPACK}",
    b"Rar!\x1a\x07": f"a RAR archive; {_UNPACK}",
    b"\x04\x22\x4d\x18": f"an LZ4 file; {_UNPACK}",
    b"\x1f\x9d": f"a file of the program compress (.Z); {_UNPACK}",
    b"version https://git-lfs": "a Git LFS pointer, not the table itself; fetch it with git lfs pull",
    b"<!doctype html": _WEB_PAGE,
    b"<html": _WEB_PAGE,
    b"<head": _WEB_PAGE,
    b"<body": _WEB_PAGE,
    b"<table": _WEB_PAGE,
    b"<script": _WEB_PAGE,
    b"<!--": _WEB_PAGE,
    b"<?xml": "an XML document; get the table as CSV",
    b"{": "JSON; write the table as CSV or Parquet",
    b"[{": "JSON; write the table as CSV or Parquet",
}
_TAR = (257, b"ustar")
"""Where a tar archive has its mark."""
_TEN = 10
"""Times the limit that a message names where the whole size is unknown: counting it would be the work to avoid."""
_TOLD_BYTES = 24
"""More than the longest mark above, after blanks at the start."""


def opened(uri: str, content: bytes, limits: LimitSettings) -> tuple[bytes, str]:
    """The table's bytes without their compression, and the compression's name ("" if there is none).

    Raises:
        SourceError: the file is empty, a damaged archive, unpacks to more than the limit, or is of a kind that
            is not a table; it says what it is.
    """
    for name, (magic, unpacking) in _COMPRESSIONS.items():
        if content.startswith(magic):
            try:
                with unpacking(content) as stream:
                    inner = bytes(stream.read(limits.bytes + 1))
            except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, pa.ArrowException) as error:
                raise SourceError(
                    f"{uri} is a damaged {name} file ({error}); compress or download it again"
                ) from error
            if len(inner) > limits.bytes:
                what = f"unpacks to more than {limits.bytes:,} bytes"
                raise too_large(uri, what, "bytes", _TEN * limits.bytes)
            _refuse_no_table(uri, inner, f"holds, compressed with {name}, ")
            if any(inner.startswith(magic) for magic, _ in _COMPRESSIONS.values()):
                raise SourceError(f"{uri} is compressed twice; unpack it once and give what is in it")
            return inner, name
    _refuse_no_table(uri, content, "is ")
    return content, ""


def _refuse_no_table(uri: str, content: bytes, verb: str) -> None:
    if not content.strip():
        raise SourceError(
            f"{uri} is empty; give a CSV or Parquet table with a date, Open, High, Low and Close"
        )
    if content.startswith(b"PK\x03\x04"):
        raise SourceError(f"{uri} {verb}{_archive(content)}")
    if content.startswith(b"ORC") and content[-4:-1] == b"ORC":
        raise SourceError(f"{uri} {verb}an ORC file; write the table as Parquet")
    if content.startswith(_TAR[1], _TAR[0]):
        raise SourceError(f"{uri} {verb}a tar archive; {_UNPACK}")
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")[:_TOLD_BYTES].lower()
    for magic, what in _NO_TABLE.items():
        if start.startswith(magic.lower()):
            raise SourceError(f"{uri} {verb}{what}")


def _archive(content: bytes) -> str:
    """An Excel workbook is a ZIP archive too.

    Of an archive's contents only their number is read: what its list of them says may be wrong, and long.
    """
    if b"[Content_Types].xml" in content[:4096] or b"xl/workbook." in content:
        return "an Excel workbook (.xlsx); save the sheet as CSV"
    end = content.rfind(b"PK\x05\x06")
    files = int.from_bytes(content[end + 10 : end + 12], "little") if end >= 0 else 0
    inside = f" of {files} files" if 1 < files < 2**16 - 1 else ""
    return f"a ZIP archive{inside}; unpack it and give the table in it"
