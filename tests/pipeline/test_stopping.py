"""A signal stops a run once; what was ignored stays ignored."""

import os
import signal

import pytest

from pipelines.stopping import StoppedBySignal, stopping_on_signals


def stopped_twice(number: int) -> None:
    with stopping_on_signals():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)  # someone insists while the work is being saved


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_once_and_is_named_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(StoppedBySignal, match=f"stopped by {number.name}") as stopped:
            stopped_twice(number)
        assert stopped.value.exit_code == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
