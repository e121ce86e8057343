"""How a step leaves when its machine is taken away."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_core.signals import on_signal


@contextmanager
def leaving_on_termination(on_arrival: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within it SIGTERM raises ``SystemExit(143)``, so that ``finally`` and ``except`` blocks do their work.

    Also for a container's first process, on which an uncaught SIGTERM has no effect at all.

    Args:
        on_arrival: called first.
    """

    def leave(number: int) -> None:
        on_arrival()
        raise SystemExit(128 + number)

    with on_signal(leave, signal.SIGTERM):
        yield
