"""Watches one operation on a store: that it ends in time, and that its bytes move.

A socket's own time-out says how long one read or write may take. It says nothing of a server that sends a byte
now and then, and retries multiply it. So each operation has a ``Pace``, and the connection asks it before, and
tells it after, each block that it sends or receives.
"""

import http.client
import io
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from model_core.deadlines import Limits, current
from model_core.errors import StoreTimeoutError
from model_core.store.answers import EndlessError

_BLOCK_BYTES = 2**16
_MOST_SECONDS = 1e9
"""31 years, for whoever asks for more: a socket takes no larger number."""
_UNSENT_BYTES = 2**17
"""What the kernel may hold back of what it was given. It takes megabytes otherwise, and a slow network looks fast."""
_TCP_NOTSENT_LOWAT = 25
"""Linux's number of the option; Python names it from 3.12 on."""
_SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    *([(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)] if sys.platform == "linux" else []),
]


class Pace:
    """What one operation may still take.

    Args:
        limits: of the store.
        moved: told of each block's bytes, for whoever shows the progress.
        most_bytes: that may be received.
    """

    def __init__(
        self,
        limits: Limits,
        moved: Callable[[int], None] = lambda count: None,
        most_bytes: float = float("inf"),
    ) -> None:
        self.limits = limits
        self._tell = moved
        self._most_bytes, self._received = most_bytes, 0
        self._deadline = current()
        self._begun = self._window_begun = time.monotonic()
        self._bytes = self._window_bytes = 0

    def seconds(self, wanted: float) -> float:
        """How long the socket may wait now, of ``wanted`` seconds.

        Raises:
            StoreTimeoutError: not at all: the time is up.
        """
        if (left := self._left()) <= 0:
            raise StoreTimeoutError(self._said())
        return min(wanted, left, _MOST_SECONDS)

    def moved(self, count: int) -> None:
        """Count bytes that were sent or received.

        Raises:
            StoreTimeoutError: they came too slowly.
        """
        self._bytes += count
        self._window_bytes += count
        self._tell(count)
        now, limits = time.monotonic(), self.limits
        if (elapsed := now - self._window_begun) < limits.rate_window_seconds:
            return
        if (rate := self._window_bytes / elapsed) < limits.least_bytes_per_second:
            raise StoreTimeoutError(
                f"{rate:,.0f} bytes/s over the last {elapsed:.0f} s are too slow; check the network, or lower "
                f"store.least_bytes_per_second ({limits.least_bytes_per_second:,.0f})"
            )
        self.turns()

    def received(self, count: int) -> None:
        """Count bytes that were received.

        Raises:
            EndlessError: they are more than were expected.
            StoreTimeoutError: they came too slowly.
        """
        self._received += count
        if self._received > self._most_bytes:
            raise EndlessError(self._most_bytes)
        self.moved(count)

    def turns(self) -> None:
        """Bytes go the other way from now on; how long the server thinks in between is not a matter of the rate."""
        self._window_begun, self._window_bytes = time.monotonic(), 0

    @contextmanager
    def asked(self) -> Iterator[None]:
        """One call of the socket; a time-out in it that is also this pace's is said as such."""
        try:
            yield
        except TimeoutError:
            self.seconds(0.0)
            raise

    def pause(self, seconds: float) -> None:
        """Wait between two attempts.

        Raises:
            StoreTimeoutError: the time is up.
        """
        time.sleep(self.seconds(seconds))

    def _left(self) -> float:
        # What moves fast enough may take as long as it needs.
        own = self._begun + self.limits.total_seconds + self._bytes / self.limits.least_bytes_per_second
        return min(own, self._deadline.at) - time.monotonic()

    def _said(self) -> str:
        elapsed = time.monotonic() - self._begun
        if self._deadline.left() == 0:
            return f"the time for the end of the run is over (after {elapsed:.0f} s)"
        return (
            f"it did not answer in time ({elapsed:.0f} s); check AWS_ENDPOINT_URL and the network, or raise "
            f"store.total_seconds ({self.limits.total_seconds:g})"
        )


_pace: ContextVar[Pace | None] = ContextVar("pace", default=None)


@contextmanager
def paced(pace: Pace) -> Iterator[None]:
    """Within it the connections that this thread uses are watched by ``pace``."""
    token = _pace.set(pace)
    try:
        yield
    finally:
        _pace.reset(token)


def pool_of(limits: Limits, pool: type[urllib3.PoolManager], **more: Any) -> urllib3.PoolManager:
    """A pool of watched connections."""
    made = pool(
        timeout=urllib3.Timeout(
            connect=min(limits.connect_seconds, _MOST_SECONDS), read=min(limits.read_seconds, _MOST_SECONDS)
        ),
        socket_options=_SOCKET_OPTIONS,
        **more,
    )
    made.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return made


class PacedRetry(urllib3.Retry):
    """Waits between two attempts no longer than the operation may take, whatever the server asks for."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        *given: Any,
        **more: Any,
    ) -> Self:
        """See ``urllib3.Retry.increment``; an answer after which the server is asked again is not read to its end."""
        if response is not None:
            response.close()
        return super().increment(method, url, response, *given, **more)

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """See ``urllib3.Retry.sleep``."""
        wanted = self.get_retry_after(response) if response is not None else None
        seconds = wanted or self.get_backoff_time()
        if (pace := _pace.get()) is not None:
            pace.pause(seconds)
        else:
            time.sleep(seconds)


class _Paced(HTTPConnection):
    """A connection that sends and receives in blocks, each watched by the operation's pace."""

    def connect(self) -> None:
        """Within the time that is left."""
        if (pace := _pace.get()) is None:
            super().connect()
            return
        self.timeout = pace.seconds(pace.limits.connect_seconds)
        with pace.asked():
            super().connect()

    def request(self, *given: Any, **more: Any) -> None:
        """See ``urllib3``; the bytes of the request begin to move."""
        if (pace := _pace.get()) is not None:
            pace.turns()
        super().request(*given, **more)

    def send(self, data: Any) -> None:
        """In blocks: a time-out holds for the whole of what is sent in one call, however large it is."""
        pace = _pace.get()
        if pace is None or not isinstance(data, bytes) or self.sock is None:
            super().send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK_BYTES):
            block = view[start : start + _BLOCK_BYTES]
            self.sock.settimeout(pace.seconds(pace.limits.read_seconds))
            try:
                super().send(block)
            except TimeoutError:
                pace.moved(0)
                raise
            pace.moved(len(block))

    def response_class(self, sock: socket.socket, *given: Any, **more: Any) -> http.client.HTTPResponse:  # type: ignore[override]
        """As of ``http.client``, reading through ``_Watched``."""
        response = http.client.HTTPResponse(sock, *given, **more)
        if (pace := _pace.get()) is not None:
            response.fp = io.BufferedReader(_Watched(response.fp, sock, pace), _BLOCK_BYTES)
        return response


class _PacedTLS(_Paced, HTTPSConnection):
    """The same through TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Paced


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PacedTLS


class _Watched(io.RawIOBase):
    """What a socket receives, block by block."""

    def __init__(self, file: io.BufferedReader, sock: socket.socket, pace: Pace) -> None:
        super().__init__()
        self._file, self._sock, self._pace = file, sock, pace
        self._answered = False

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, as soon as anything has."""
        self._sock.settimeout(self._pace.seconds(self._pace.limits.read_seconds))
        with self._pace.asked():
            count = self._file.raw.readinto(buffer) or 0
        if not self._answered:
            self._answered = True
            self._pace.turns()
        self._pace.received(count)
        return count

    def close(self) -> None:
        """The socket, too, once its connection has let go of it."""
        self._file.close()
        super().close()
