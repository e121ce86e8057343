"""Runs one step and outlives neither it nor the run: a step whose run was killed saves its work and ends.

    python guard.py GRACE READER LOG SCRATCH COMMAND…

The run holds the other end of this process's standard input, which closes however the run ends. Then the step gets
SIGTERM, GRACE seconds, and SIGKILL; what it prints meanwhile goes from the descriptor READER to the file LOG, since
nobody else reads it, and its temporary folder SCRATCH is removed. Standard library only: it starts in milliseconds.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress

_LAST_WORDS_SECONDS = 5.0
"""How long to wait for what a step printed at its end."""


def main(grace: float, reader: int, log: str, scratch: str, command: list[str]) -> int:
    """The step's exit code; a step that a signal ended ends this process in the same way."""
    # The group gets SIGTERM, and only the step is to end by it. A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        step = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"error: cannot start {command[0]} ({error.strerror})", flush=True)
        return 1
    alone = threading.Event()
    copy = threading.Thread(target=_copy, args=(reader, log), daemon=True)
    threading.Thread(target=_watch, args=(grace, scratch, alone, copy), daemon=True).start()
    code = step.wait()
    if alone.is_set():
        copy.join(_LAST_WORDS_SECONDS)
        _end(scratch)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _watch(grace: float, scratch: str, alone: threading.Event, copy: threading.Thread) -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the other end is gone
    # The step alone is to hold the end that it prints to, so that the copy ends with it.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    copy.start()
    alone.set()
    os.killpg(0, signal.SIGTERM)
    threading.Timer(grace, _end, args=(scratch,)).start()


def _copy(reader: int, log: str) -> None:
    try:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:  # the step must not wait for a reader, whatever has become of its log
        file = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # with which a pseudo-terminal ends
        while text := os.read(reader, 65536):
            with suppress(OSError):  # a full disk
                os.write(file, text)


def _end(scratch: str) -> None:
    """The step, whatever it started, and this process."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    grace, reader, log, scratch, *command = sys.argv[1:]
    sys.exit(main(float(grace), int(reader), log, scratch, command))
