"""Any S3-compatible object store through the ``minio`` SDK."""

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from model_core.deadlines import Limits
from model_core.errors import StoreError, StoreTimeoutError
from model_core.store.answers import framed
from model_core.store.base import READ_BYTES, cannot, oversized
from model_core.store.certificates import unsafe
from model_core.store.client import ANSWER_BYTES, RedirectError
from model_core.store.pace import Pace, paced
from model_core.variables import ENDPOINT

if TYPE_CHECKING:
    from model_core.progress import ProgressMeter

_PART_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 2**18
_PAGE_KEYS = 1000
"""That a server lists at a time."""
_MOST_KEYS = 1_000_000
"""In one list: a server can go on for ever."""
_RESUMED_AT_MOST = 3
"""Times that a broken download goes on where it was; a server could break it at every byte."""
_SHOWN_AFTER_SECONDS = 2.0
"""On a terminal; elsewhere the first line comes later."""

_ELSEWHERE = (
    "the server sends this client elsewhere, and it does not follow; set AWS_ENDPOINT_URL and AWS_REGION to the "
    "bucket's own"
)


class S3Store:
    """Objects below ``s3://bucket/prefix``."""

    def __init__(self, bucket: str, prefix: str, client: Minio, limits: Limits) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client = client
        self.limits = limits
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")

    def read(self, key: str, max_bytes: int = READ_BYTES) -> bytes:
        """GET the object, and no more of it than fits."""
        blocks, left = [], max_bytes + 1
        with self._received(key, framed(max_bytes)) as response:
            # The length that a server states is not asked: it may state another one than it sends.
            while left and (block := bytes(response.read(min(left, _BLOCK_BYTES)))):
                blocks.append(block)
                left -= len(block)
        if not left:
            raise oversized(key, self.uri, max_bytes)
        return b"".join(blocks)

    def write(self, key: str, content: bytes) -> None:
        """PUT the object, in parts if it is large."""
        self._send(key, io.BytesIO(content), len(content))

    def upload(self, key: str, file: Path) -> None:
        """PUT a file, in parts if it is large."""
        try:
            with file.open("rb") as content:
                self._send(key, content, os.fstat(content.fileno()).st_size)
        except OSError as error:
            raise StoreError(
                f"cannot write {key} in {self.uri}, since {file} cannot be read ({error.strerror or error}); "
                "check the disk",
                uri=self.uri,
                key=key,
            ) from error

    def download(self, key: str, file: Path) -> None:
        """GET into a file beside the final path, renamed when it is whole."""
        part = file.with_name(f".{file.name}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as content:
                self._fetch(key, content)
            part.replace(file)
        except OSError as error:
            raise StoreError(
                f"cannot keep {key} of {self.uri} in {file.parent} ({error.strerror or error}); make room there"
                f"{_or_elsewhere(file)}",
                uri=self.uri,
                key=key,
            ) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _fetch(self, key: str, content: BinaryIO) -> None:
        """GET into ``content``; where the connection breaks, go on from there if it is still the same object."""
        tag, tries = "", 0
        while True:
            begun = content.tell()
            try:
                with self._received(key, float("inf"), begun, tag) as response:
                    tag = response.headers.get("ETag", "")
                    if begun and response.status != HTTPStatus.PARTIAL_CONTENT:
                        content.seek(0)
                        content.truncate()
                    while block := response.read(_BLOCK_BYTES):
                        content.write(block)
                return
            except StoreError as error:
                tries += 1
                broken = isinstance(error.__cause__, urllib3.exceptions.ProtocolError)
                if not (broken and tag and content.tell() > begun and tries <= _RESUMED_AT_MOST):
                    raise

    def keys(self, prefix: str = "") -> Iterator[str]:
        """LIST, page by page; the empty objects that some tools make to show a folder are left out."""
        listed = iter(self.client.list_objects(self.bucket, self.prefix + prefix, recursive=True))
        count = 0
        while True:
            # A page is one operation: what its reader does before asking for the next is not the store's time.
            with self._mapped("list", ""):
                page = [found.object_name for found in islice(listed, _PAGE_KEYS)]
                count += len(page)
                if count > _MOST_KEYS:
                    raise ValueError(f"more than {_MOST_KEYS:,} objects in one list")
            if not page:
                return
            # SeaweedFS takes a/ and a// for one.
            own = (name for name in page if name.startswith(self.prefix + prefix))
            yield from (name.removeprefix(self.prefix) for name in own if not name.endswith("/"))

    def exists(self, key: str) -> bool:
        """HEAD the object."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """HEAD the object."""
        with self._mapped("look up", key):
            try:
                return self.client.stat_object(self.bucket, self.prefix + key).size
            except S3Error as error:
                if error.code in {"NoSuchKey", "NoSuchObject"}:
                    return None
                raise

    def delete(self, key: str) -> None:
        """DELETE the object."""
        with self._mapped("delete", key):
            self.client.remove_object(self.bucket, self.prefix + key)

    @contextmanager
    def _received(
        self, key: str, most_bytes: float, first: int = 0, tag: str = ""
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a GET, from byte ``first`` on of the object that had ``tag``, while its content comes."""
        with ExitStack() as stack:
            shown = _Shown(f"reading {self.uri}/{key}")
            stack.enter_context(self._mapped("read", key, shown, most_bytes))
            response = self.client.get_object(
                self.bucket,
                self.prefix + key,
                offset=first,
                request_headers={"If-Match": tag} if tag else None,
            )
            stack.callback(response.release_conn)
            stack.callback(response.close)
            stack.enter_context(shown.of(_stated_length(response)))
            yield response

    def _send(self, key: str, content: BinaryIO, size: int) -> None:
        shown = _Shown(f"writing {self.uri}/{key}")
        # One part after another: the client's own threads for them know nothing of this operation's pace.
        with self._mapped("write", key, shown), shown.of(size):
            self.client.put_object(
                self.bucket,
                self.prefix + key,
                content,
                size,
                part_size=_PART_BYTES,
                num_parallel_uploads=1,
            )

    @contextmanager
    def _mapped(
        self,
        verb: str,
        key: str,
        moved: Callable[[int], None] = lambda count: None,
        most_bytes: float | None = None,
    ) -> Iterator[None]:
        """One operation on the store, within its limits; it brings no more than a list or an error unless told."""
        doing = f"{cannot(verb, key)} in {self.uri}"
        try:
            with paced(Pace(self.limits, moved, framed(ANSWER_BYTES) if most_bytes is None else most_bytes)):
                yield
        except StoreTimeoutError as error:
            raise StoreTimeoutError(f"{doing}: {error}", uri=self.uri, key=key) from error
        except S3Error as error:
            if error.code in {"Redirect", "PermanentRedirect", "RetryHead"}:
                raise StoreError(f"{doing}: {_ELSEWHERE}", uri=self.uri, key=key) from error
            raise StoreError(
                f"{doing}: {error.code} ({error.message}); check the bucket, the key and "
                "AWS_ACCESS_KEY_ID / AWS_SECRET_ACCESS_KEY",
                uri=self.uri,
                key=key,
            ) from error
        except RedirectError as error:
            raise StoreError(f"{doing}: {_ELSEWHERE}", uri=self.uri, key=key) from error
        except (MinioException, urllib3.exceptions.HTTPError, ValueError, ParseError) as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            # What is refused, or has no address, urllib3 counts among what took too long.
            if isinstance(reason, urllib3.exceptions.NewConnectionError):
                raise StoreError(
                    f"{doing}: no connection ({str(reason).rpartition(': ')[2]}); check {ENDPOINT} and the network",
                    uri=self.uri,
                    key=key,
                ) from error
            if isinstance(reason, urllib3.exceptions.TimeoutError):
                raise StoreTimeoutError(
                    f"{doing}: it was silent for {self.limits.read_seconds:g} s, or could not be "
                    f"connected to in {self.limits.connect_seconds:g} s; check AWS_ENDPOINT_URL and the network, or "
                    "raise store.read_seconds and store.connect_seconds",
                    uri=self.uri,
                    key=key,
                ) from error
            if isinstance(reason, urllib3.exceptions.SSLError):
                raise StoreError(
                    f"{doing}: {unsafe(reason, 'the server', ENDPOINT)}", uri=self.uri, key=key
                ) from error
            raise StoreError(
                f"{doing}: {type(error).__name__} ({error}); check AWS_ENDPOINT_URL and the network",
                uri=self.uri,
                key=key,
            ) from error


class _Shown:
    """The progress of one transfer, where somebody waits for it: the main thread. Its pieces are kB."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._meter: ProgressMeter | None = None
        self._bytes = 0

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Within it what moves counts."""
        # The image of the store, which moves no files, has no tqdm.
        from model_core.progress import ProgressMeter

        waited_for = threading.current_thread() is threading.main_thread()
        with ProgressMeter(
            self._what, size // 1000, "kB", shown=waited_for, after=_SHOWN_AFTER_SECONDS
        ) as meter:
            self._meter = meter
            yield

    def __call__(self, count: int) -> None:
        """Count bytes that moved."""
        before, self._bytes = self._bytes, self._bytes + count
        if self._meter is not None:
            self._meter.update(self._bytes // 1000 - before // 1000)


def _stated_length(response: urllib3.BaseHTTPResponse) -> int:
    """What the server says of the size, for the progress only."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 20 else 0


def _or_elsewhere(file: Path) -> str:
    temporary = Path(tempfile.gettempdir()).resolve()
    return ", or set TMPDIR to another folder" if file.resolve().is_relative_to(temporary) else ""
