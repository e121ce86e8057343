"""What a process does about a signal while a block runs."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_signal(action: Callable[[int], None], *numbers: signal.Signals) -> Iterator[None]:
    """Within it each of these signals calls ``action`` with its number; afterwards it does what it did before.

    In a thread other than the main one nothing changes: Python delivers signals to the main thread only, and only
    there can they be caught.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        action(number)

    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
