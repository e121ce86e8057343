"""Training that is not finished and outlives its process: a folder for each set of decisive settings and data.

    <folder>/<identity>/                 checkpoints and logs of one training
    <folder>/<identity>/identity.json    what makes it that one
    <folder>/<identity>/finished.json    its model is whole elsewhere, so the folder may go

Trainings that must not be mixed never share a folder, and none is removed before its model is where it belongs.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from model_core.artifacts import read_json, replace_json
from model_core.config.base import Section, dotted
from model_core.disk import entries
from model_core.errors import ArtifactError, StoreError, printable
from model_core.store.locate import open_store

log = logging.getLogger("pgat.train")
WORK_VARIABLE = "PGAT_WORK"
"""Names the folder to a step that a local run starts: as a parameter it would be part of the cache's key."""
_IDENTITY, _FINISHED = "identity.json", "finished.json"
_NAMED_SETTINGS = 3
"""How many differing settings a message names."""


class Work(Section):
    """Where unfinished training is kept.

    Args:
        folder: on this machine.
        uri: folder or ``s3://…`` that gets copies of its checkpoints, unless a checkpoint URI is given.
    """

    folder: str
    uri: str | None = None

    def of(self, identity: Mapping[str, Any]) -> "Work":
        """The part of it that belongs to one training."""
        text = json.dumps(identity, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        return Work(folder=str(Path(self.folder) / name), uri=self.uri and f"{self.uri}/{name}")


def named_folder() -> Path | None:
    """The folder that the environment names for unfinished work, ``~`` expanded as a shell may have left it.

    Raises:
        StoreError: it begins with the home of a user who is not known.
    """
    named = os.environ.get(WORK_VARIABLE, "")
    try:
        return Path(named).expanduser().absolute() if named else None
    except RuntimeError as error:
        raise StoreError(
            f"{WORK_VARIABLE} is {printable(named)}, and that user's home is not known; give a whole path",
            uri=named,
        ) from error


def work_of_local_run() -> Work | None:
    """What a local run told this step; None on a cluster."""
    folder = named_folder()
    return Work(folder=str(folder)) if folder else None


def begin(folder: Path, identity: Mapping[str, Any]) -> None:
    """Note whose folder this is; where training of another kind is kept beside it, say that this one starts over.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    (folder / _FINISHED).unlink(missing_ok=True)
    if (folder / _IDENTITY).exists():
        return
    for other in unfinished(folder.parent):
        if other != folder:
            log.warning(
                "the unfinished training in %s has %s; it stays there, and this one starts over",
                other,
                _difference(other, identity),
            )
    try:
        replace_json(folder / _IDENTITY, dict(identity))
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {folder} ({error.strerror}); make room there", path=folder
        ) from error


def mark_finished(folder: Path) -> None:
    """The model of this training is whole at its output."""
    replace_json(folder / _FINISHED, {})


def discard_finished(work: Work) -> list[Path]:
    """Remove what belongs to finished training, copies in a store included; returns the folders that stay."""
    root = Path(work.folder)
    for mark in root.glob(f"*/{_FINISHED}"):
        if work.uri is not None:
            _discard_copies(f"{work.uri}/{mark.parent.name}")
        shutil.rmtree(mark.parent, ignore_errors=True)
    with suppress(OSError):
        root.rmdir()
    return unfinished(root)


def unfinished(root: Path) -> list[Path]:
    """Folders of trainings below ``root`` that did not end, the newest last."""
    found = [
        path for path in entries(root) if (path / _IDENTITY).exists() and not (path / _FINISHED).exists()
    ]
    return sorted(found, key=lambda path: (path / _IDENTITY).stat().st_mtime)


def _discard_copies(uri: str) -> None:
    try:
        store = open_store(uri)
        for key in list(store.keys()):
            store.delete(key)
    except StoreError as error:
        log.warning("checkpoints that nobody needs any more stay in %s: %s", uri, error)


def _difference(other: Path, identity: Mapping[str, Any]) -> str:
    try:
        theirs, ours = dotted(read_json(other / _IDENTITY)), dotted(identity)
    except ArtifactError:
        return "other settings or data"
    names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    settings = [name for name in names if name != "dataset"]
    parts = ["other data"] if "dataset" in names else []
    if settings:
        more = ", …" if len(settings) > _NAMED_SETTINGS else ""
        parts.append(f"other settings ({', '.join(settings[:_NAMED_SETTINGS])}{more})")
    return " and ".join(parts)
