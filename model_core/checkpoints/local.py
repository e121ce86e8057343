"""The checkpoints in a run's own folder: which there are, how far they are, and a ``best`` that is whole.

``best`` holds weights only; ``last`` and ``epoch-0005``, … hold the whole state of the run.
"""

import logging
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from model_core.checkpoints.files import export_checkpoint, position, recover, saved_info, verify_checkpoint
from model_core.disk import entries
from model_core.errors import CheckpointError

log = logging.getLogger("pgat.checkpoints")
BEST, LAST, DEBUG = "best", "last", "debug"


class Score(Protocol):
    """What choosing a best checkpoint must know of a run's progress."""

    epoch: int
    best_epoch: int
    best_loss: float


class Copies(Protocol):
    """What may hold another copy of a checkpoint."""

    def fetch_best(self, folder: Path, epoch: int) -> bool:
        """Put the ``best`` of ``epoch`` into ``folder``; False if there is no intact one."""
        ...


def kept(folder: Path) -> list[Path]:
    """The checkpoints of single epochs, newest first."""
    return [path for path in reversed(entries(folder)) if path.name.startswith("epoch-") and path.is_dir()]


def states(folder: Path) -> list[Path]:
    """All checkpoints that a run could go on from, newest first; none is looked into."""
    return [path for path in (folder / LAST, *kept(folder)) if path.exists()]


def tidy_up(folder: Path) -> None:
    """Put back what a killed process was replacing, and remove what it had half written."""
    retired = {path.name[1:].removesuffix(".old") for path in folder.glob(".epoch-*.old")}
    for name in {BEST, LAST, *retired, *(path.name for path in kept(folder))}:
        recover(folder / name)
    for pattern in (".mirror-*", ".fetch-*", ".epoch-*"):
        for leftover in folder.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)


def newest_position(folder: Path) -> tuple[int, int] | None:
    """Epochs finished and steps done since, of the newest intact checkpoint; ``None`` if there is none."""
    return next((at for path in states(folder) if (at := position(path)) is not None), None)


def whole_best(folder: Path, progress: Score, copies: Copies | None) -> tuple[int, float]:
    """Make sure that ``best`` is whole and of the run's best epoch, and say what was done about it.

    A damaged one is rebuilt from a checkpoint of the same epoch, here or in ``copies``. If none is left, the
    best of the epochs that are left takes its place, until training finds a better one.

    Returns:
        Epoch and validation loss of the checkpoint that is the best from now on; the loss is infinite for none.

    Raises:
        StoreError: the copies cannot be reached.
    """
    wanted, loss, best = progress.best_epoch, progress.best_loss, folder / BEST
    fault = _fault_of(best, wanted) if math.isfinite(loss) else None
    if fault is None:
        return wanted, loss
    for path in states(folder):
        if position(path) == (wanted, 0):
            export_checkpoint(path, best)
            log.warning("%s; rebuilt from %s", fault, path)
            return wanted, loss
    if copies is not None and copies.fetch_best(folder, wanted):
        log.warning("%s; fetched again from the mirror", fault)
        return wanted, loss
    return _next_best(folder, progress, fault)


def _fault_of(best: Path, epoch: int) -> str | None:
    try:
        verify_checkpoint(best)
        epoch_there = saved_info(best).epoch
    except CheckpointError as error:
        return str(error).partition("; ")[0]
    if epoch_there == epoch:
        return None
    return f"{best} is of epoch {epoch_there}, not of the best epoch {epoch}"


def _next_best(folder: Path, progress: Score, fault: str) -> tuple[int, float]:
    lost = f"{fault}, and there is no other copy of epoch {progress.best_epoch}"
    left = sorted(_ends_of_epochs(folder, progress.epoch), key=lambda end: end[:2])
    if not left:
        log.warning("%s; the best of the epochs from here on takes its place", lost)
        return 0, math.inf
    loss, epoch, path = left[0]
    export_checkpoint(path, folder / BEST)
    log.warning(
        "%s; epoch %d with a validation loss of %g instead of %g takes its place until a better one comes",
        lost,
        epoch,
        loss,
        progress.best_loss,
    )
    return epoch, loss


def _ends_of_epochs(folder: Path, newest: int) -> Iterator[tuple[float, int, Path]]:
    """Validation loss, epoch and folder of the whole checkpoints that were saved when an epoch was done."""
    for path in states(folder):
        at: Any = position(path)
        if at is None or at[1] != 0 or not 0 < at[0] <= newest:
            continue
        loss = saved_info(path).validation_loss
        if loss is not None and math.isfinite(loss):
            yield loss, at[0], path
