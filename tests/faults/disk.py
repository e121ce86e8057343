"""Disks that are full: a small file system where one may be mounted, and a limit on the size of files everywhere."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """``folder``, which is made, as a file system of that size; the test is skipped where none may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, but_bytes: int = 0) -> Path:
    """A file that takes all the room that is left, or all but so much."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as file:
        while free := shutil.disk_usage(folder).free:
            file.write(bytes(free))
            os.fsync(file.fileno())
    os.truncate(ballast, ballast.stat().st_size - but_bytes)
    return ballast


def limited(
    words: Sequence[str], largest_file_bytes: int, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``python`` with these words; no file that it writes may become larger.

    The system says so as it says that a disk is full, with another number. coverage could not write its own record
    there, and would say so in a traceback, so it is not started.
    """
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env=surroundings | (environment or {}),
        preexec_fn=_limit(largest_file_bytes),
    )


def _limit(largest_file_bytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))
