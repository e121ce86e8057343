"""The hidden folder in which a run keeps what it needs to go on, and what remains of it after an error."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_core.artifacts import no_folders_left, refuse_foreign_folder
from model_core.checkpoints.local import DEBUG, states
from model_core.errors import ArtifactError, UserError


@contextmanager
def workspace(model: Path, leads: bool) -> Iterator[Path]:
    """``.<model>-training`` beside ``model``, locked; the other processes of a team get one to throw away.

    A run that was refused leaves nothing, not even the folders that were made to hold it. One that failed
    leaves its logs, and one that had saved a checkpoint goes on from there.

    Raises:
        ArtifactError: the place holds something else, cannot be written, or another run trains there.
    """
    if not leads:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    refuse_foreign_folder(model)
    work = model.parent / f".{model.name}-training"
    with no_folders_left(work), _locked(work, model):
        try:
            yield work
        except (UserError, KeyboardInterrupt):
            if not states(work) and not (work / DEBUG).exists():
                shutil.rmtree(work, ignore_errors=True)
            raise


@contextmanager
def _locked(work: Path, model: Path) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {model.parent} ({error.strerror}); choose another folder"
        ) from error
    with lock:
        try:
            # The kernel frees the lock of a process that dies.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError(
                f"another run is training into {model}; wait or choose another folder"
            ) from error
        yield
