"""A checkpoint set aside as it is at one moment, for whoever copies it while training goes on."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_core.checkpoints.files import CHECKPOINT_MANIFEST
from model_core.checkpoints.records import record_key


@dataclass(frozen=True)
class Snapshot:
    """Files as they were at one moment, in a folder of their own."""

    folder: Path
    epoch: int
    step: int

    @property
    def record(self) -> str:
        """Key under which the store lists it."""
        return record_key(self.epoch, self.step)


def snapshot_of(source: Path, names: Sequence[str], epoch: int, step: int) -> Snapshot:
    """What stands under ``names`` in ``source`` now, in a new folder there.

    Raises:
        OSError: there is no room for it.
    """
    folder = Path(tempfile.mkdtemp(prefix=".mirror-", dir=source))
    try:
        for name in names:
            for file in files_below(source / name):
                target = folder / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                _freeze(file, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Snapshot(folder, epoch, step)


def files_below(path: Path) -> list[Path]:
    """The files of a folder, or the one file that it is; none if there is nothing."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def _freeze(file: Path, target: Path) -> None:
    """Keep a file's content: a link for a checkpoint's, which are only ever replaced; a copy for logs, which grow."""
    if not (file.parent / CHECKPOINT_MANIFEST).exists():
        shutil.copyfile(file, target)
        return
    try:
        os.link(file, target)
    except OSError:
        # Some file systems have no hard links.
        shutil.copyfile(file, target)
