"""One process at a time works on a run: a lock in its folder, which the kernel frees however that process ends."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from model_core.errors import UserError
from model_core.locks import try_lock

_LOCK = ".lock"
_TRIES = 10
_PAUSE_SECONDS = 0.05
"""Whoever lists runs holds each lock for a moment."""


@contextmanager
def held_run(folder: Path) -> Iterator[None]:
    """Within it the run in ``folder``, which is made if need be, is this process's.

    Raises:
        UserError: another process works on it, or the folder cannot be written.
    """
    try:
        handle = _lock(folder)
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another --runs") from error
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        # Who holds it is for people; the lock holds on a full disk, too.
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps({"pid": os.getpid(), "since": since}).encode())
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether a process works on the run in ``folder``; where nothing can be locked, that it might."""
    try:
        # A link may lead anywhere, and a pipe would keep its reader waiting.
        handle = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return try_lock(handle) is not True
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    path = folder / _LOCK
    for _ in range(_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        # What it leads to would be emptied if it were a link.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        free = try_lock(handle)
        # A run that was refused removes its folder, and the lock in it, before it lets go.
        if free is not False and path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
        os.close(handle)
        time.sleep(_PAUSE_SECONDS)
    raise UserError(
        f"the run {folder.name} is going on{_owner(path)}; wait until it has ended, or choose another --name"
    )


def _owner(path: Path) -> str:
    """Who holds a lock, as far as that can be read: it may just be being written."""
    try:
        owner = json.loads(path.read_bytes()[:200])
        return f" in process {int(owner['pid'])} since {datetime.fromisoformat(owner['since']).isoformat()}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
