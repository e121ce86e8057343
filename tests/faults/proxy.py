"""A proxy on the loopback interface that does to a connection what networks do.

    with Proxy("127.0.0.1", port) as proxy:
        …                                  # connect to proxy.port, or use proxy.url
        proxy.fault = Hang()               # from now on, for open connections, too

It hangs for as long as the proxy runs, so that no test sleeps, and is slow by so many bytes a tick.
"""

import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Hang:
    """Connections are taken, what comes is read, and nothing is ever answered."""


@dataclass(frozen=True)
class Slow:
    """So many bytes pass in each direction at each tick."""

    bytes_per_tick: int
    tick_seconds: float = 0.05


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of answers: in order, as if all had been said, or by a reset."""

    after_bytes: int
    reset: bool = False


@dataclass(frozen=True)
class Flip:
    """The lowest bit of one byte of the answers is another one, counted from the first of a connection."""

    at_byte: int


Fault = Hang | Slow | Cut | Flip | None


class Proxy:
    """Stands before the server at ``host`` and ``port``; ``fault`` is what happens to what passes from now on."""

    def __init__(self, host: str, port: int, fault: Fault = None) -> None:
        self.fault = fault
        self.connections = 0
        """How many there were so far."""
        self._server = (host, port)
        self._listener = _with_small_buffers(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # Closing a socket does not wake a thread that waits on it; this does.
        for each in (self._listener, *self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:  # its other end was faster
                continue
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._open):
            each.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
                server = _with_small_buffers(socket.create_connection(self._server))
            except OSError:  # the end, or there is no server, as the client will see
                continue
            self.connections += 1
            self._open += [client, server]
            self._start(self._pump, client, server, False)
            self._start(self._pump, server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        passed = 0
        try:
            while block := source.recv(2**16):
                self._pass(block, target, passed if answers else None)
                passed += len(block)
        except OSError:  # one of the two is gone, so the other one goes
            pass
        if not isinstance(self.fault, Hang):
            for each in (source, target):
                _shut(each)

    def _pass(self, block: bytes, target: socket.socket, passed: int | None) -> None:
        """Pass a block on; ``passed`` bytes of answers were before it, None if it is part of a request."""
        match self.fault:
            case Hang():
                return
            case Slow(bytes_per_tick, tick_seconds):
                for start in range(0, len(block), bytes_per_tick):
                    target.sendall(block[start : start + bytes_per_tick])
                    self._ended.wait(tick_seconds)
            case Cut(after_bytes, reset) if passed is not None and passed + len(block) > after_bytes:
                target.sendall(block[: max(after_bytes - passed, 0)])
                if reset:
                    target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # It wakes whoever waits on the socket, without whom closing it would not reset it.
                    target.shutdown(socket.SHUT_RD)
                    target.close()
                raise ConnectionAbortedError
            case Flip(at_byte) if passed is not None and passed <= at_byte < passed + len(block):
                changed = bytearray(block)
                changed[at_byte - passed] ^= 1
                target.sendall(changed)
            case _:
                target.sendall(block)


def _with_small_buffers(end: socket.socket) -> socket.socket:
    """As a network has: the kernel would take megabytes at once, however slowly they are passed on."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
    return end


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed
        return
