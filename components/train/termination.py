"""How a step leaves when its machine is taken away."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def leaving_on_termination() -> Iterator[None]:
    """Within it SIGTERM raises ``SystemExit(143)``, so that ``finally`` and ``except`` blocks do their work.

    Also for a container's first process, on which an uncaught SIGTERM has no effect at all.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only, and only there can they be caught.
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
