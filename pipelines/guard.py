"""Runs one step and outlives neither it nor the run: a step whose run was killed saves its work and ends.

    python guard.py GRACE READER SCRATCH COMMAND…

The run holds the other end of this process's standard input, which closes however the run ends. Then the step gets
SIGTERM, GRACE seconds, and SIGKILL; what it prints meanwhile is read from the descriptor READER, since nobody else
does, and its temporary folder SCRATCH is removed. Standard library only: it starts in milliseconds.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main(grace: float, reader: int, scratch: str, command: list[str]) -> int:
    """The step's exit code; a step that a signal ended ends this process in the same way."""
    # The group gets SIGTERM, and only the step is to end by it. A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        step = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"error: cannot start {command[0]} ({error.strerror})", flush=True)
        return 1
    alone = threading.Event()
    threading.Thread(target=_watch, args=(grace, reader, scratch, alone), daemon=True).start()
    code = step.wait()
    if alone.is_set():
        _end(scratch)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _watch(grace: float, reader: int, scratch: str, alone: threading.Event) -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the other end is gone
    alone.set()
    threading.Thread(target=_drain, args=(reader,), daemon=True).start()
    os.killpg(0, signal.SIGTERM)
    threading.Timer(grace, _end, args=(scratch,)).start()


def _drain(reader: int) -> None:
    with suppress(OSError):  # what a pseudo-terminal answers at its end
        while os.read(reader, 65536):
            pass


def _end(scratch: str) -> None:
    """The step, whatever it started, and this process."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
