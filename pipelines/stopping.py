"""How a run is stopped: Ctrl-C, SIGTERM and a closed terminal all let the step in progress save its work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from model_core.signals import on_signal

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class StoppedBySignal(KeyboardInterrupt):
    """A signal other than that of Ctrl-C stopped the run."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise ``StoppedBySignal``, once: what follows has its own deadline.

    A signal that is ignored, as ``nohup`` does with SIGHUP, stays ignored.
    """
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(number: int) -> None:
        for each in handled:
            signal.signal(each, lambda number, frame: None)
        raise StoppedBySignal(number)

    with on_signal(stop, *handled):
        yield
