"""Work that takes a while says how far it has come: a bar on a terminal, plain lines elsewhere."""

import logging
import os
import pty
import re
import termios
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress

import pytest

from model_core.progress import ProgressMeter, duration


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def a_terminal() -> Iterator[list[str]]:
    """A pseudo-terminal as the standard error stream; the list gets what was shown once it is closed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    shown: list[str] = []
    with os.fdopen(theirs, "w") as stream, redirect_stderr(stream):
        yield shown
    # With the other side closed, reading ends in an error on Linux and in nothing elsewhere.
    with suppress(OSError):
        while chunk := os.read(ours, 65536):
            shown.append(chunk.decode())
    os.close(ours)


def lines_of(
    caplog: pytest.LogCaptureFixture, pieces: int, seconds_each: float, *, done: int = 0, note: str = ""
) -> list[str]:
    """What is logged of so many pieces that take so long."""
    clock = Clock()
    with (
        caplog.at_level(logging.INFO, logger="pgat.progress"),
        ProgressMeter("work", pieces, "pieces", done=done, clock=clock) as meter,
    ):
        meter.bar.mininterval = 0
        for _ in range(pieces - done):
            clock.now += seconds_each
            meter.update(note=note)
    return caplog.messages


def test_a_line_tells_how_much_is_done_and_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(caplog, 4, 30.0, note="loss 0.5") == [
        "work: 1 of 4 pieces (25%), 30 s so far, about 90 s left, loss 0.5",
        "work: 2 of 4 pieces (50%), 60 s so far, about 60 s left, loss 0.5",
        "work: 3 of 4 pieces (75%), 90 s so far, about 30 s left, loss 0.5",
    ]


def test_the_time_left_of_work_that_goes_on_counts_only_what_was_done_now(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert lines_of(caplog, 4, 20.0, done=2) == ["work: 3 of 4 pieces (75%), 20 s so far, about 20 s left"]


def test_work_that_is_over_within_ten_seconds_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(caplog, 90, 0.1) == []


def test_an_hour_of_work_is_never_silent_for_long_and_never_talkative(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = lines_of(caplog, 3600, 1.0)
    assert 60 <= len(lines) <= 100
    assert "10 of 3600" in lines[0]


def test_on_a_terminal_there_is_a_bar_with_the_time_left_and_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with a_terminal() as shown:
        assert lines_of(caplog, 4, 30.0, note="loss 0.5") == []
    assert re.search(r"work: .*4/4 \[\d\d:\d\d<\d\d:\d\d, .*loss 0\.5", "".join(shown))


def test_a_process_that_another_one_speaks_for_shows_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with ProgressMeter("work", 2, "pieces", shown=False, clock=clock) as meter:
        clock.now += 1000
        meter.update()
    with a_terminal() as shown, ProgressMeter("work", 2, "pieces", shown=False) as meter:
        meter.update()
    assert (caplog.messages, "".join(shown), capfd.readouterr().err) == ([], "", "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89.6, "90 s"), (95, "1 min 35 s"), (12_600, "3 h 30 min")]
)
def test_durations_are_written_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said
