"""From a URI to the store behind it."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_core.deadlines import Limits
from model_core.errors import StoreError, printable, quoted
from model_core.store.base import READ_BYTES, Store
from model_core.store.local import LocalStore
from model_core.store.names import scheme_of, split_uri

_S3 = "s3"
_BUCKET = re.compile(r"[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_MISTYPED = re.compile(r"(s3|file):(/?)(?!/)", re.IGNORECASE)


def open_store(uri: str) -> Store:
    """The store at ``uri``: a path, ``file:///path`` or ``s3://bucket/prefix``.

    Raises:
        StoreError: the scheme is unknown, the bucket is missing, or there are no credentials.
        SettingsError: the environment holds limits that are none.
    """
    check_uri(uri)
    if (path := local_path(uri)) is not None:
        return LocalStore(path)
    # Imported here so that steps which stay on local disks need no S3 client.
    from model_core.store.client import connect
    from model_core.store.s3 import S3Store

    bucket, _, prefix = split_uri(uri)[1].partition("/")
    limits = Limits.of_environment()
    return S3Store(bucket, prefix, connect(limits=limits), limits)


def in_object_store(uri: str) -> bool:
    """Whether ``uri`` leads into a bucket; a path or ``file://`` stays on this machine."""
    return scheme_of(uri) == _S3


def check_uri(uri: str) -> None:
    """Refuse a URI that no store has, before any work is done for it; a password in it is not repeated.

    Raises:
        StoreError: the scheme is unknown, the bucket is missing or misspelled, or there are credentials in it.
    """
    scheme, rest = split_uri(uri)
    if printable(uri) != uri:
        raise StoreError(f"the URI {quoted(uri)} contains a control character; type it again", uri=uri)
    if scheme in {None, "file"}:
        _refuse_mistyped(uri)
        return
    if scheme != _S3:
        # A password with a blank in it would not be recognized in a message.
        shown = f"a URI with @ in it, {scheme}://…," if "@" in rest else uri
        raise StoreError(
            f"{shown} starts with {scheme}://; use a path, file:// or s3://bucket/prefix", uri=uri
        )
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StoreError(f"{uri} names no bucket; write s3://bucket/prefix", uri=uri)
    if "@" in bucket or ":" in bucket:
        raise StoreError(
            "an s3:// URI holds credentials or a port; write s3://bucket/prefix, and set AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL in the environment"
        )
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(
            f"{quoted(bucket)} is not a bucket name, which has 3 to 63 letters, digits, dots and dashes; write "
            "s3://bucket/prefix",
            uri=uri,
        )
    if "\\" in prefix or (prefix and {"", ".", ".."} & set(prefix.removesuffix("/").split("/"))):
        raise StoreError(
            f"the URI {quoted(uri)} has an empty part, . or .. between its slashes, or a backslash; some stores take "
            "that for another name, and would overwrite it, so leave it out",
            uri=uri,
        )


def local_path(uri: str) -> Path | None:
    """The path that ``uri`` names on this machine; ``None`` if it lives in an object store.

    Raises:
        StoreError: it cannot be understood, or is on another machine.
    """
    _refuse_mistyped(uri)
    try:
        if scheme_of(uri) is None:
            return _path(uri).expanduser()
        parts = urlsplit(uri)
        if parts.scheme != "file":
            return None
        if parts.netloc not in {"", "localhost"}:
            raise ValueError("a file of another machine")
        return _path(unquote(parts.path))
    except (RuntimeError, ValueError) as error:  # the home of an unknown user; brackets without an address
        # Neither the URI nor the reason is repeated: both may hold a password.
        raise StoreError(
            "a path or URI cannot be resolved: its user or host is unknown, or it is on another machine; write a "
            "path, file:///path or s3://bucket/prefix"
        ) from error


def _refuse_mistyped(uri: str) -> None:
    """``s3:/bucket/x`` would be a folder called ``s3:`` here, and a model in it be lost with its machine."""
    if mistyped := _MISTYPED.match(uri):
        scheme = mistyped[1].lower()
        meant = "file:///path" if scheme == "file" else "s3://bucket/prefix"
        raise StoreError(
            f"{quoted(uri)} is neither a path nor a URI; write {meant}, or ./{mistyped[0]}… for a path "
            "of that name",
            uri=uri,
        )


def _path(name: str) -> Path:
    if "\0" in name:
        raise ValueError("a name cannot contain a null character")
    return Path(name)


def read_uri(uri: str, max_bytes: int = READ_BYTES) -> bytes:
    """Content of the one object at ``uri``.

    Raises:
        StoreError: it is not there or larger than ``max_bytes``, or the store cannot be reached.
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    if not name or folder.endswith(":/"):
        raise StoreError(f"{uri} names no object; write s3://bucket/path/to/table.csv", uri=uri)
    return open_store(folder).read(name, max_bytes)
