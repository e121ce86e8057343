"""The folder that one step hands to the next: typed files and a manifest that vouches for them.

A folder is written beside its final path and renamed at the end, so it is there whole or not at all.
``manifest.json`` names every file with its size and SHA-256, and holds a digest of its own content; whoever
reads it checks that one, and ``open_artifact`` checks all the files. A step's manifest names the manifests of
its inputs by their SHA-256; ``model_core.lineage`` compares them.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from model_core.disk import followed, require_room, writing
from model_core.documents import parse_json
from model_core.errors import ArtifactError, counted
from model_core.locks import clear_leftovers, unfinished_folder
from model_core.manifest import FileRecord, Manifest
from model_core.store.names import contained
from model_core.store.ownership import within_umask
from model_core.texts import read_text
from model_core.versions import git_commit, versions

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
"""Version 1 had no digest of its own; it is still read."""
_JSON_BYTES = 2**24
"""Largest JSON file that is read, thirty times as much in memory at worst. What grows with the table is in Parquet."""


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that takes its place when the block ends without an error.

    What stood at ``path`` is replaced only if it is empty or an artifact itself; links are followed. After an error
    nothing is left, not even the folders above ``path`` that were made to hold it. A process that is killed leaves
    its sibling, and the next one that writes to ``path`` clears it.

    Raises:
        ArtifactError: ``path`` cannot be written, or holds something that is not an artifact.
        DiskError: the disk filled up within the block.
    """
    refuse_foreign_folder(path)
    path = followed(path)
    with no_folders_left(path), ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(path.parent, path.name)
            staging = stack.enter_context(unfinished_folder(path))
        except OSError as error:
            raise ArtifactError(
                f"cannot write to {path.parent} ({error.strerror}); choose another folder",
                path=path.parent,
            ) from error
        try:
            require_room(staging)
            with writing(path):
                yield staging
                staging.chmod(within_umask(0o755))
                if path.exists():
                    shutil.rmtree(path)
                staging.rename(path)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


@contextmanager
def no_folders_left(path: Path) -> Iterator[None]:
    """After an error in the block, remove ``path`` and the folders above it if they are new and empty."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in missing:
            # Whoever has put something there meanwhile keeps their folder.
            with suppress(OSError):
                folder.rmdir()
        raise


def refuse_foreign_folder(path: Path) -> None:
    """Check that an output may go to ``path``: nothing there, an empty folder, or an artifact to replace.

    Raises:
        ArtifactError: ``path`` holds something else, or is a link that leads nowhere.
    """
    if not followed(path).exists():
        return
    if not path.is_dir():
        raise ArtifactError(f"{path} is a file, not a folder; choose another output folder", path=path)
    if any(path.iterdir()) and not (path / MANIFEST).exists():
        raise ArtifactError(
            f"{path} holds files that no step of this package made; choose another output folder or empty it",
            path=path,
        )


def write_json(path: Path, value: object) -> None:
    """Write ``value`` for people and machines: sorted, indented, and never NaN or Infinity.

    Raises:
        ValueError: ``value`` holds NaN or an infinity; write ``None`` and a reason instead.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def replace_json(path: Path, value: object) -> None:
    """``write_json`` for a file that others may read at any moment, even after this process was killed: always
    whole."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_json(staged, value)
        with staged.open("rb") as file:
            os.fsync(file)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        ArtifactError: the file is missing, too large, or not a JSON object.
    """
    try:
        value = parse_json(read_text(path, _JSON_BYTES))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; run the step that makes it", path=path) from error
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read as JSON ({error}); run the step that makes it again",
            path=path,
        ) from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} is not a JSON object; run the step that makes it again", path=path)
    return value


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    folder: Path,
    *,
    producer: str,
    settings: Mapping[str, object],
    seed: int | None = None,
    inputs: Mapping[str, Path] | None = None,
) -> Manifest:
    """Vouch for every file below ``folder`` as it is now; call it last.

    Args:
        settings: JSON values only.
        inputs: the artifact folders that this one was made from, by name.
    """
    files = {
        str(path.relative_to(folder).as_posix()): FileRecord(sha256=sha256_of(path), size=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        producer=producer,
        settings=dict(settings),
        files=files,
        code_version=code_version(),
        git_commit=git_commit(),
        versions=versions(),
        seed=seed,
        inputs={name: sha256_of(Path(path) / MANIFEST) for name, path in (inputs or {}).items()},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    content = manifest.model_dump(mode="json", exclude={"sha256"})
    manifest = manifest.model_copy(update={"sha256": content_digest(content)})
    write_json(folder / MANIFEST, content | {"sha256": manifest.sha256})
    return manifest


def content_digest(content: Mapping[str, object]) -> str:
    """SHA-256 of a manifest's content, however it is spaced."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_artifact(folder: Path, *, producer: str) -> Manifest:
    """The manifest of ``folder``, after checking that each file it names is there and unchanged.

    Raises:
        ArtifactError: the folder or its manifest is missing, it is another step's output, or a file is damaged.
        StoreError: the manifest names a file outside the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtifactError(
            f"{folder} is not a folder; give the output folder of the {producer} step", path=folder
        )
    if not (folder / MANIFEST).exists():
        raise ArtifactError(
            f"{folder} has no {MANIFEST}; give the output folder of a finished {producer} step",
            path=folder,
        )
    manifest = read_manifest(folder / MANIFEST, producer=producer)
    for name in manifest.files:
        _check_file(folder, name, manifest)
    return manifest


def intact_file(folder: Path, name: str, *, producer: str) -> Path:
    """The path of one file of an artifact, after checking it and the manifest, but no other file.

    Raises:
        ArtifactError: it is missing or damaged, or the manifest is, or another step's.
    """
    manifest = read_manifest(folder / MANIFEST, producer=producer)
    if name not in manifest.files:
        raise ArtifactError(
            f"{folder / MANIFEST} names no {name}; run the {producer} step again", path=folder / MANIFEST
        )
    return _check_file(folder, name, manifest)


def _check_file(folder: Path, name: str, manifest: Manifest) -> Path:
    path, record = contained(folder, name), manifest.files[name]
    again = f"run the {manifest.producer} step again"
    try:
        size = path.stat().st_size if path.is_file() else None
        whole = size == record.size and sha256_of(path) == record.sha256
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); {again}", path=path) from error
    if not whole:
        what = f"{folder} lacks {name}" if size is None else f"{path} was changed after it was written"
        raise ArtifactError(f"{what}; {again}", path=path)
    return path


def read_manifest(path: Path, *, producer: str) -> Manifest:
    """A manifest alone, without the files that it vouches for.

    Raises:
        ArtifactError: it is missing, damaged, of another version, or another step's.
    """
    content, again = read_json(path), f"run the {producer} step again"
    if content.get("schema_version") not in (1, SCHEMA_VERSION):
        raise ArtifactError(f"{path} is not a manifest of version 1 or {SCHEMA_VERSION}; {again}", path=path)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not a manifest of this version ({counted(error.error_count(), 'wrong field')}); {again}",
            path=path,
        ) from error
    content.pop("sha256", None)
    wanted = content_digest(content) if manifest.schema_version > 1 else None
    if manifest.sha256 != wanted:
        raise ArtifactError(f"{path} was changed after it was written; {again}", path=path)
    if manifest.producer != producer:
        raise ArtifactError(
            f"{path.parent} was made by the {manifest.producer} step; give the output folder of the {producer} step",
            path=path,
        )
    return manifest


@cache
def code_version() -> str:
    """Short hash of this project's own sources: it changes when a step's code may have changed."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for package in ("model_core", "components"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".j2", ".npz"}:
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
