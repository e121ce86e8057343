"""A step ends with its run, however the run ends, and its own end is passed on as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GUARD = str(Path(__file__).parent.parent.parent / "pipelines" / "runners" / "guard.py")


class Guarded:
    """A guard in a session of its own, and what its step prints."""

    def __init__(self, folder: Path, program: str, grace: float = 600.0) -> None:
        (folder / "scratch").mkdir()
        reader, writer = os.pipe()
        guard = [
            sys.executable,
            "-I",
            "-S",
            GUARD,
            str(grace),
            str(reader),
            str(folder / "log"),
            str(folder / "scratch"),
        ]
        self.process = subprocess.Popen(
            [*guard, sys.executable, "-c", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=writer,
            start_new_session=True,
            pass_fds=(reader,),
        )
        os.close(writer)
        self.printed = os.fdopen(reader, "rb")

    def end_the_run(self) -> None:
        """As the kernel does for a run that is killed."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture(name="guarded")
def _guarded(tmp_path: Path) -> Iterator[Callable[..., Guarded]]:
    made = []

    def start(program: str, grace: float = 600.0) -> Guarded:
        made.append(Guarded(tmp_path, program, grace))
        return made[-1]

    yield start
    for each in made:
        each.end_the_run()
        each.process.kill()
        each.process.wait()
        each.printed.close()


@pytest.mark.parametrize(
    ("program", "code"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_how_a_step_ended_is_passed_on(guarded: Callable[..., Guarded], program: str, code: int) -> None:
    assert guarded(program).process.wait(timeout=600) == code


SAVING = """
import pathlib, signal, sys, time
def leave(number, frame):
    for line in range(20000):
        print("saving", line)  # more than a pipe holds, and nobody but the guard reads it any more
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def test_a_step_whose_run_is_gone_saves_its_work_and_ends_and_what_it_prints_goes_to_its_log(
    guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    step = guarded(SAVING)
    assert step.printed.readline() == b"ready\n"
    step.printed.close()
    step.end_the_run()
    assert step.process.wait(timeout=600) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "saved"]
    assert (tmp_path / "log").read_text().splitlines() == [f"saving {line}" for line in range(20000)]


def test_a_step_saves_its_work_also_where_its_log_cannot_be_written(
    guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    step = guarded(SAVING)
    assert step.printed.readline() == b"ready\n"
    step.printed.close()
    step.end_the_run()
    assert step.process.wait(timeout=600) == -signal.SIGKILL
    assert (tmp_path / "saved").exists()


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def test_a_step_that_does_not_end_in_its_grace_is_killed(guarded: Callable[..., Guarded]) -> None:
    step = guarded(STUBBORN, grace=0.1)
    assert step.printed.readline() == b"ready\n"
    step.end_the_run()
    assert step.process.wait(timeout=600) == -signal.SIGKILL
    assert step.printed.read() == b""  # the step, which holds the other end, is gone too
