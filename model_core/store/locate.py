"""From a URI to the store behind it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_core.errors import StoreError
from model_core.store.base import READ_BYTES, Store
from model_core.store.local import LocalStore


def open_store(uri: str) -> Store:
    """The store at ``uri``: a path, ``file:///path`` or ``s3://bucket/prefix``.

    Raises:
        StoreError: the scheme is unknown, the bucket is missing, or there are no credentials.
    """
    if (path := local_path(uri)) is not None:
        return LocalStore(path)
    parts = urlsplit(uri)
    match parts.scheme:
        case "s3":
            if not parts.netloc:
                raise StoreError(f"{uri} names no bucket; write s3://bucket/prefix")
            # Imported here so that steps which stay on local disks need no S3 client.
            from model_core.store.s3 import S3Store, connect

            return S3Store(parts.netloc, parts.path, connect())
        case scheme:
            raise StoreError(f"{uri} starts with {scheme}://; use a path, file:// or s3://bucket/prefix")


def local_path(uri: str) -> Path | None:
    """The path that ``uri`` names on this machine; ``None`` if it lives in an object store."""
    if "://" not in uri:
        return Path(uri).expanduser()
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def read_uri(uri: str, max_bytes: int = READ_BYTES) -> bytes:
    """Content of the one object at ``uri``.

    Raises:
        StoreError: it is not there or larger than ``max_bytes``, or the store cannot be reached.
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    if not name or folder.endswith(":/"):
        raise StoreError(f"{uri} names no object; write s3://bucket/path/to/table.csv")
    return open_store(folder).read(name, max_bytes)
