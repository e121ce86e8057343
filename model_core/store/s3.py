"""Any S3-compatible object store through the ``minio`` SDK.

Settings come from the environment, under the names the AWS tools use:

    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional)
    AWS_ENDPOINT_URL     e.g. http://seaweedfs.kubeflow:9000; default https://s3.amazonaws.com;
                         S3_ENDPOINT is read where it is not set
    AWS_REGION           default us-east-1
"""

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from model_core.errors import StoreError
from model_core.store.base import READ_BYTES, oversized

_AWS = "https://s3.amazonaws.com"
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
# The SDK's own default retries for minutes before a wrong endpoint is reported.
_RETRIES = urllib3.Retry(total=3, redirect=False, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))
_HEADER_VALUE = re.compile(r"[!-~]+")
_PART_BYTES = 16 * 1024 * 1024


_ELSEWHERE = (
    "the server sends this client elsewhere, and it does not follow; set AWS_ENDPOINT_URL and AWS_REGION to the "
    "bucket's own"
)


class _RedirectError(urllib3.exceptions.HTTPError):
    """The server answered with a redirect."""


class _NoRedirects(urllib3.PoolManager):
    """Follows no redirect: whoever it leads to would get the session's token."""

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request; it is answered by the server that it is for."""
        response = super().urlopen(method, url, redirect=False, **more)
        if response.get_redirect_location():
            response.drain_conn()
            raise _RedirectError
        return response


class S3Store:
    """Objects below ``s3://bucket/prefix``."""

    def __init__(self, bucket: str, prefix: str, client: Minio) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client = client
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")

    def read(self, key: str, max_bytes: int = READ_BYTES) -> bytes:
        """GET the object, and no more of it than fits."""
        with self._mapped(f"cannot read {key}"):
            response = self.client.get_object(self.bucket, self.prefix + key)
            try:
                # The length that a server states is not asked: it may state another one than it sends.
                content = bytes(response.read(max_bytes + 1))
            finally:
                response.close()
                response.release_conn()
        if len(content) > max_bytes:
            raise oversized(key, self.uri, max_bytes)
        return content

    def write(self, key: str, content: bytes) -> None:
        """PUT the object, in parts if it is large."""
        with self._mapped(f"cannot write {key}"):
            self.client.put_object(
                self.bucket, self.prefix + key, io.BytesIO(content), len(content), part_size=_PART_BYTES
            )

    def upload(self, key: str, file: Path) -> None:
        """PUT a file, in parts if it is large."""
        with self._mapped(f"cannot write {key}"):
            self.client.fput_object(self.bucket, self.prefix + key, str(file), part_size=_PART_BYTES)

    def download(self, key: str, file: Path) -> None:
        """GET into a file; the SDK renames it when it is whole."""
        with self._mapped(f"cannot read {key}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            self.client.fget_object(self.bucket, self.prefix + key, str(file))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """LIST, page by page; the empty objects that some tools make to show a folder are left out."""
        with self._mapped("cannot list"):
            for found in self.client.list_objects(self.bucket, self.prefix + prefix, recursive=True):
                if not found.object_name.endswith("/"):
                    yield found.object_name.removeprefix(self.prefix)

    def exists(self, key: str) -> bool:
        """HEAD the object."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """HEAD the object."""
        with self._mapped(f"cannot look up {key}"):
            try:
                return self.client.stat_object(self.bucket, self.prefix + key).size
            except S3Error as error:
                if error.code in {"NoSuchKey", "NoSuchObject"}:
                    return None
                raise

    def delete(self, key: str) -> None:
        """DELETE the object."""
        with self._mapped(f"cannot delete {key}"):
            self.client.remove_object(self.bucket, self.prefix + key)

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code in {"Redirect", "PermanentRedirect", "RetryHead"}:
                raise StoreError(f"{doing} in {self.uri}: {_ELSEWHERE}") from error
            raise StoreError(
                f"{doing} in {self.uri}: {error.code} ({error.message}); check the bucket, the key and "
                "AWS_ACCESS_KEY_ID / AWS_SECRET_ACCESS_KEY"
            ) from error
        except _RedirectError as error:
            raise StoreError(f"{doing} in {self.uri}: {_ELSEWHERE}") from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise StoreError(
                f"{doing} in {self.uri}: {type(error).__name__} ({error}); check AWS_ENDPOINT_URL and the network"
            ) from error


def connect(environment: Mapping[str, str] = os.environ) -> Minio:
    """A client for the endpoint and credentials in the environment.

    Raises:
        StoreError: there are no credentials, one of them cannot be sent, or the endpoint is no URL; no message
            repeats a value.
    """
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    given = {name: _given(environment, name) for name in (*keys, "AWS_SESSION_TOKEN", "AWS_REGION")}
    missing = [name for name in keys if not given[name]]
    if missing:
        raise StoreError(f"s3:// needs credentials; set {' and '.join(missing)} in the environment")
    parts = _endpoint(environment)
    try:
        return Minio(
            parts.netloc,
            access_key=given["AWS_ACCESS_KEY_ID"],
            secret_key=given["AWS_SECRET_ACCESS_KEY"],
            session_token=given["AWS_SESSION_TOKEN"] or None,
            secure=parts.scheme == "https",
            region=given["AWS_REGION"] or "us-east-1",
            http_client=_NoRedirects(timeout=_TIMEOUT, retries=_RETRIES),
        )
    except ValueError as error:
        raise StoreError(
            f"the S3 client refuses these settings ({error}); check AWS_ENDPOINT_URL and AWS_REGION"
        ) from error


def _given(environment: Mapping[str, str], name: str) -> str:
    """A variable's value without white space around it; it will travel in an HTTP header."""
    value = environment.get(name, "").strip()
    if value and not _HEADER_VALUE.fullmatch(value):
        raise StoreError(
            f"{name} holds a character that cannot be sent, for example a line break or a blank; copy it again"
        )
    return value


def _endpoint(environment: Mapping[str, str]) -> SplitResult:
    """The store's URL: scheme, host and port, nothing else."""
    name = "AWS_ENDPOINT_URL" if environment.get("AWS_ENDPOINT_URL") else "S3_ENDPOINT"
    wanted = f"{name} is no URL like http://seaweedfs.kubeflow:9000"
    try:
        parts = urlsplit(_given(environment, name) or _AWS)
        port_fits = parts.port is None or parts.port > 0
    except ValueError as error:
        raise StoreError(f"{wanted}; write scheme, host and port") from error
    if "@" in parts.netloc:
        raise StoreError(
            f"{name} holds credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and take them "
            "out of the URL"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_fits:
        raise StoreError(f"{wanted}; write scheme, host and port")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise StoreError(
            f"{name} has more than scheme, host and port; the bucket and prefix belong into s3://…"
        )
    return parts
