"""A signal is caught for as long as a block runs, and only where Python can catch it."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from components.train.termination import leaving_on_termination
from model_core.signals import on_signal


def test_the_handler_of_before_comes_back_even_after_an_error() -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(-number))
    try:
        with suppress(KeyError), on_signal(caught.append, signal.SIGTERM):
            os.kill(os.getpid(), signal.SIGTERM)
            raise KeyError
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM, -signal.SIGTERM]


def test_a_thread_of_its_own_leaves_the_handler_alone() -> None:
    def handler_within() -> object:
        with on_signal(lambda number: None, signal.SIGTERM):
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(handler_within).result() is signal.getsignal(signal.SIGTERM)


def test_a_terminated_step_leaves_through_its_finally_blocks() -> None:
    tidied = []

    def step() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            tidied.append(True)

    with pytest.raises(SystemExit) as end, leaving_on_termination():
        step()
    assert end.value.code == 128 + signal.SIGTERM
    assert tidied == [True]
