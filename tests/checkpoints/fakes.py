"""A checkpoint that is whole and small; its weights are some text."""

import shutil
from pathlib import Path

from model_core.artifacts import sha256_of, write_json
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, SETTINGS, WEIGHTS


def write_checkpoint(folder: Path, weights: str, epoch: int = 1, step: int = 0) -> None:
    """Replace ``folder`` by a checkpoint; never written in place, as real ones are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_text(weights)
    write_json(folder / SETTINGS, {"model": {}, "inputs": {}, "info": {"epoch": epoch, "step": step}})
    renew_manifest(folder)


def renew_manifest(folder: Path) -> None:
    """Vouch for the files of ``folder`` as they are now."""
    files = [path for path in folder.iterdir() if path.name != CHECKPOINT_MANIFEST]
    write_json(
        folder / CHECKPOINT_MANIFEST,
        {"files": {f.name: {"sha256": sha256_of(f), "size": f.stat().st_size} for f in files}},
    )
