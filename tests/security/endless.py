"""A server of HTTP that says the same to everybody, byte for byte, for as long as somebody listens."""

import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from socketserver import StreamRequestHandler, ThreadingTCPServer

from tests.serving import answering

BLOCK = b"x" * 2**16
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(bytes(2**26))
"""64 MiB of nothing, in 64 kB."""


def sized(content: bytes, encoding: bytes) -> list[bytes]:
    head = b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(content))
    return [OK + head + content]


def dripping(begin: bytes) -> Iterator[bytes]:
    yield begin
    while True:
        time.sleep(0.02)
        yield b" "


ENDLESS: dict[str, Callable[[], Iterable[bytes]]] = {
    "content": lambda: chain([OK + b"\r\n"], repeat(BLOCK)),
    "content of a stated length": lambda: chain([OK + b"Content-Length: %d\r\n\r\n" % 2**40], repeat(BLOCK)),
    "chunks": lambda: chain(
        [OK + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"10000\r\n" + BLOCK + b"\r\n")
    ),
    "chunks of one byte": lambda: chain(
        [OK + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1\r\n \r\n" * 10_000)
    ),
    "the length of a chunk": lambda: chain(
        [OK + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"0" * 2**16)
    ),
    "trailers": lambda: chain(
        [OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"], repeat(b"A: b\r\n" * 10_000)
    ),
    "one header": lambda: chain([OK + b"X-Long: "], repeat(BLOCK)),
    "headers": lambda: chain([OK], repeat(b"X-Many: 1\r\n" * 1_000)),
    "words before the answer": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "the first line": lambda: repeat(BLOCK),
    "a packed nothing": lambda: sized(BOMB, b"gzip"),
    "a nothing packed twice": lambda: sized(gzip.compress(BOMB), b"gzip, gzip"),
    "an error": lambda: chain([b"HTTP/1.1 500 Error\r\n\r\n"], repeat(BLOCK)),
}
"""What may have no end → how it begins and goes on."""
SLOW: dict[str, Callable[[], Iterable[bytes]]] = {
    "content, a byte now and then": lambda: dripping(OK + b"\r\n"),
    "a header, a byte now and then": lambda: dripping(OK + b"X-Slow: "),
    "nothing": lambda: dripping(b""),
}


class EndlessServer(ThreadingTCPServer):
    """Says ``pieces`` to each request."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, pieces: Callable[[], Iterable[bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pieces = pieces

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(StreamRequestHandler):
    server: EndlessServer

    def handle(self) -> None:
        self.request.recv(2**16)
        with suppress(OSError):
            for piece in self.server.pieces():
                self.wfile.write(piece)


@contextmanager
def speaking(pieces: Callable[[], Iterable[bytes]]) -> Iterator[EndlessServer]:
    """The server runs."""
    server = EndlessServer(pieces)
    with answering(server):
        yield server
