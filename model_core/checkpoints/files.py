"""One checkpoint folder on disk: weights, the settings that rebuild the model, and their hashes.

    model.safetensors   the state dict
    settings.json       model settings, model inputs, what is known of the weights (epoch, loss), and versions
    training.pt         optional: optimizer, gradient scaler, random states; tensors and plain values only
    checkpoint.json     SHA-256 and size of the files above; written last

That of an ensemble holds a checkpoint a member, member-1, member-2, …, and ``ensemble.json`` with their names.

A checkpoint is written beside its final path, synced to disk and renamed: it is whole or not there at all.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from model_core.artifacts import code_version, sha256_of, write_json
from model_core.checkpoints.control import CheckpointManifest, Damage, Saved, SavedInfo, load
from model_core.checkpoints.measure import read_state
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.disk import disk_error
from model_core.errors import CheckpointError, StoreError
from model_core.results.record import write_result
from model_core.results.shrinkage import Shrinkage
from model_core.store.names import contained
from model_core.store.ownership import within_umask
from model_core.versions import versions

WEIGHTS, SETTINGS, TRAINING = "model.safetensors", "settings.json", "training.pt"
ENSEMBLE = "ensemble.json"
CHECKPOINT_MANIFEST = "checkpoint.json"
CODE = "pgat"
"""Name of this project's own code among the versions."""


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    *,
    settings: ModelSettings,
    inputs: ModelInputs,
    info: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint folder, replacing the one that may stand there.

    Args:
        info: JSON values, e.g. epoch (from 1) and validation loss.
        training: optimizer, scaler and random states for a resume.

    Raises:
        DiskError: the disk is full or the folder cannot be written; what stood there still does.
    """
    with _staged(folder) as staging:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        _save_weights(staging / WEIGHTS, weights)
        write_json(
            staging / SETTINGS,
            {
                "model": settings.model_dump(mode="json"),
                "inputs": inputs.model_dump(mode="json"),
                "info": dict(info) | {"d_model_requested": settings.d_model, "d_model_used": settings.width},
                "versions": versions() | {CODE: code_version()},
            },
        )
        if training is not None:
            _save_training(staging / TRAINING, training)


def export_checkpoint(source: Path, folder: Path, shrinkage: Shrinkage | None = None) -> None:
    """Copy a checkpoint without the state of its training run: what a reader of the model needs.

    Args:
        shrinkage: how much of the model a reader is to keep; all of it if there is none.

    Raises:
        CheckpointError: the source is damaged.
        DiskError: the folder cannot be written.
    """
    verify_checkpoint(source)
    with _staged(folder) as staging:
        for name in (WEIGHTS, SETTINGS):
            shutil.copyfile(source / name, staging / name)
        if shrinkage is not None:
            write_result(staging, shrinkage)


def export_ensemble(
    sources: Sequence[Path], folder: Path, shrinkage: Shrinkage | None, loss: float | None
) -> None:
    """Copy the checkpoints of several members, of which each stays a checkpoint of its own, into one.

    Args:
        shrinkage: how much of each member a reader is to keep.
        loss: validation loss of all members together, if that is known.

    Raises:
        CheckpointError: a source is damaged.
        DiskError: the folder cannot be written.
    """
    with _staged(folder) as staging:
        names = [member_name(number) for number in range(1, len(sources) + 1)]
        for source, name in zip(sources, names, strict=True):
            export_checkpoint(source, staging / name)
        write_json(staging / ENSEMBLE, {"members": names, "validation_loss": loss})
        if shrinkage is not None:
            write_result(staging, shrinkage)


def recover(folder: Path) -> None:
    """Tidy up after a process that was killed while it replaced this checkpoint."""
    retired = _retired(folder)
    if retired.exists() and not folder.exists():
        retired.rename(folder)
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def verify_checkpoint(folder: Path) -> frozenset[str]:
    """Check that every file of its manifest is there and unchanged; returns their names.

    Raises:
        CheckpointError: it is not.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint {folder}; choose another one", path=folder)
    manifest = folder / CHECKPOINT_MANIFEST
    try:
        files = load(CheckpointManifest, manifest).files
        missing = set() if ENSEMBLE in files else {WEIGHTS, SETTINGS} - files.keys()
        if missing:
            raise Damage(f"it does not name {min(missing)}")
    except Damage as damage:
        raise _unusable(manifest, f"is damaged ({damage})") from damage
    for name, record in files.items():
        try:
            path = contained(folder, name)
            whole = path.is_file() and path.stat().st_size == record.size and sha256_of(path) == record.sha256
        except (OSError, StoreError) as error:
            raise _unusable(manifest, f"or a file that it names is damaged ({error})") from error
        if not whole:
            raise _unusable(path, "is damaged or missing")
    return frozenset(files)


def _unusable(path: Path, fault: str) -> CheckpointError:
    return CheckpointError(f"{path} {fault}; choose another checkpoint", path=path)


def position(folder: Path) -> tuple[int, int] | None:
    """Epochs finished and steps done since, of a checkpoint; ``None`` if it is missing or not whole."""
    try:
        verify_checkpoint(folder)
        info = saved_info(folder)
    except CheckpointError:
        return None
    return info.epoch, info.step


def saved_info(folder: Path) -> SavedInfo:
    """What was known when a verified checkpoint was saved.

    Raises:
        CheckpointError: its settings file is another kind of file.
    """
    return saved_settings(folder).info


def changed_versions(folder: Path) -> list[str]:
    """What is installed in another version than when a verified checkpoint was written, in words.

    Raises:
        CheckpointError: its settings file is another kind of file.
    """
    then = saved_settings(folder).versions
    now = versions() | {CODE: code_version()}
    return [f"{name} {then.get(name)} → {now[name]}" for name in now if now[name] != then.get(name)]


def saved_settings(folder: Path) -> Saved:
    """What stands in the settings file of a verified checkpoint.

    Raises:
        CheckpointError: it is another kind of file.
    """
    try:
        return load(Saved, folder / SETTINGS)
    except Damage as damage:
        raise _unusable(folder / SETTINGS, f"does not hold a checkpoint's settings ({damage})") from damage


def load_weights(folder: Path, model: nn.Module) -> None:
    """Load a verified checkpoint's weights into a model that was built alike.

    Raises:
        CheckpointError: names or shapes differ.
    """
    try:
        model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        text = f"the weights in {folder} do not fit the model ({reason}); train again"
        raise CheckpointError(text, path=folder) from error


def load_training(folder: Path) -> dict[str, Any]:
    """What a resume needs beside the weights; tensors and plain values only, no pickled code.

    Raises:
        CheckpointError: the checkpoint holds weights only, or its state is damaged.
    """
    if not (folder / TRAINING).exists():
        raise CheckpointError(f"{folder} holds weights only, not the state of a training run", path=folder)
    return read_state(folder / TRAINING)


def _save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    try:
        save_file(weights, path)
    except SafetensorError as error:
        # "… (os error 28)": the number is in the text only.
        number = re.search(r"\(os error (\d+)\)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


def _save_training(path: Path, training: Mapping[str, Any]) -> None:
    try:
        torch.save(dict(training), path)
    except RuntimeError as error:
        # The writer in torch notices only that less arrived than was written.
        if "inline_container" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def member_name(number: int) -> str:
    """Folder of a member of an ensemble, by its number from 1."""
    return f"member-{number}"


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that gets its manifest, is synced to disk and put there at the end."""
    staging: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield staging
        files = sorted(path for path in staging.rglob("*") if path.is_file())
        names = {path: path.relative_to(staging).as_posix() for path in files}
        write_json(
            staging / CHECKPOINT_MANIFEST,
            {"files": {names[f]: {"sha256": sha256_of(f), "size": f.stat().st_size} for f in files}},
        )
        for path in (*files, staging / CHECKPOINT_MANIFEST, staging):
            _sync(path)
        staging.chmod(within_umask(0o755))
        _replace(staging, folder)
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _replace(staging: Path, folder: Path) -> None:
    """Put ``staging`` at ``folder``; at any moment one whole checkpoint stands there or is retired."""
    retired = _retired(folder)
    shutil.rmtree(retired, ignore_errors=True)
    if folder.exists():
        folder.rename(retired)
    staging.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(retired, ignore_errors=True)


def _retired(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
