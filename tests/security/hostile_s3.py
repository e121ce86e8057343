"""An S3 server that answers whatever a test tells it to, over real HTTP on the loopback interface."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.serving import answering

BUCKET = "bucket"


class HostileS3(ThreadingHTTPServer):
    """Holds ``objects`` by key; with ``redirect`` every request is sent there instead.

    What is asked of the keys in ``unavailable`` is answered by 503, with ``retry_after`` if it is set. Where ``says``
    is set, it is the answer to everything: a status and the pieces of a body of any length, sent one after the other
    until the client leaves.
    """

    daemon_threads = True
    request_queue_size = 64
    """A client that makes more connections at once than wait here tries again after a second."""

    def __init__(self, objects: dict[str, bytes] | None = None, redirect: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.redirect = objects or {}, redirect
        self.unavailable: set[str] = set()
        self.retry_after: str | None = None
        self.on_put: Callable[[str], None] = lambda key: None
        """Called with the key of each object that has arrived, before that is answered."""
        self.refusing: dict[str, int] = {}
        """Key, or the beginning of some up to a slash → status with which writes are answered; 0 hangs up."""
        self.answers_left: int | None = None
        """After so many requests it is gone: connections end without an answer; None if it lives."""
        self.says: tuple[int, Iterable[bytes]] | None = None
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: HostileS3

    def parse_request(self) -> bool:
        """False ends the connection."""
        parsed = super().parse_request()
        if self.server.answers_left is None or not parsed:
            return parsed
        self.server.answers_left -= 1
        self.close_connection = self.server.answers_left < 0
        return not self.close_connection

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        if self.server.redirect is not None:
            self._answer(307, b"", {"Location": self.server.redirect + self.path})
            return
        if self.server.says is not None:
            self._say(*self.server.says)
            return
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0])
        elif key in self.server.unavailable:
            pause = {"Retry-After": self.server.retry_after} if self.server.retry_after else None
            self._answer(
                503, b"<Error><Code>SlowDown</Code><Message>reduce your rate</Message></Error>", pause
            )
        elif key in self.server.objects:
            self._answer(200, self.server.objects[key], {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        if self.server.redirect is not None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(307, b"", {"Location": self.server.redirect + self.path})
            return
        if self.server.says is not None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(*self.server.says)
            return
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        refused = [
            status
            for start, status in self.server.refusing.items()
            if key == start or (key.startswith(start) and start[-1:] in ("", "/"))
        ]
        if refused and not refused[0]:
            self.close_connection = True
        elif refused:
            self._answer(refused[0], b"<Error><Code>Refused</Code><Message>not now</Message></Error>")
        else:
            self.server.objects[key] = content
            self.server.on_put(key)
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        self.server.objects.pop(unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/"), None)
        self._answer(204, b"")

    def _list(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;0&quot;</ETag><Size>{len(content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, content in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        self._answer(
            200,
            f"<ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><EncodingType>url"
            f"</EncodingType><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode(),
        )

    def _say(self, status: int, pieces: Iterable[bytes]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/xml"), ("Connection", "close"), ("ETag", '"0"')):
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):
                for piece in pieces:
                    self.wfile.write(piece)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests need no log."""


@contextmanager
def serving(server: HostileS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    """The server runs, and the environment names it as the store with its keys."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-store")
    with answering(server):
        yield server
