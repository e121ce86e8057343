"""The hidden folder in which a run keeps what it needs to go on, and what remains of it after an error."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from model_core.artifacts import no_folders_left, refuse_foreign_folder
from model_core.checkpoints.local import DEBUG, states
from model_core.disk import followed, require_room, temporary_folder
from model_core.errors import ArtifactError, UserError

PATIENCE_SECONDS = 60.0
"""How long to wait for an attempt that was told to stop and saves its work; it is given 25 to do so."""
_PAUSE_SECONDS = 0.1


@contextmanager
def workspace(model: Path, is_main: bool, kept: Path | None = None) -> Iterator[Path]:
    """``kept``, or ``.<model>-training`` beside ``model``, locked; the other processes get one to throw away.

    Whoever names ``kept`` sees to it that no two runs want it, so another process in it is an earlier attempt that
    was told to stop, and is waited for.

    A run that was refused leaves nothing, not even the folders that were made to hold it. One that failed leaves
    its logs, and one that had saved a checkpoint goes on from there.

    Raises:
        ArtifactError: the output holds something else, cannot be written, or another run trains there.
    """
    if not is_main:
        with temporary_folder() as scratch:
            yield scratch
        return
    refuse_foreign_folder(model)
    output = followed(model)
    work = kept or output.parent / f".{output.name}-training"
    with no_folders_left(work), _locked(work, model, PATIENCE_SECONDS if kept else 0.0):
        try:
            require_room(work)
            yield work
        except (UserError, KeyboardInterrupt):
            if not any(states(each) or (each / DEBUG).exists() for each in (work, *work.glob("member-*"))):
                shutil.rmtree(work, ignore_errors=True)
            raise


@contextmanager
def _locked(work: Path, model: Path, patience_seconds: float) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {work.parent} ({error.strerror}); choose another folder",
            path=work.parent,
        ) from error
    with lock:
        deadline = time.monotonic() + patience_seconds
        while not _taken(lock):
            if time.monotonic() >= deadline:
                raise ArtifactError(
                    f"another run is training into {model}; wait or choose another folder", path=model
                )
            time.sleep(_PAUSE_SECONDS)
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        # The kernel frees the lock of a process that dies.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
