"""The folder that one step hands to the next: typed files and a manifest that vouches for them.

A folder is written beside its final place and renamed at the end, so it is there whole or not at all.
``manifest.json`` names every file with its size and SHA-256; ``open_artifact`` checks them all.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from model_core.documents import parse_json, read_text
from model_core.errors import ArtifactError
from model_core.store.names import contained
from model_core.versions import versions

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
_JSON_BYTES = 2**26
"""Largest JSON file that is read: what grows with the table or the run stands in Parquet."""


class FileRecord(BaseModel):
    """What the manifest says of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    size: int


class Manifest(BaseModel):
    """Who made a folder, from what, and what is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int
    producer: str
    settings: dict[str, object]
    files: dict[str, FileRecord]
    code_version: str
    git_commit: str | None
    versions: dict[str, str]
    seed: int | None
    inputs: dict[str, str]
    """Name of each input artifact → SHA-256 of its manifest."""
    created_at: str


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that takes its place when the block ends without an error.

    What stood at ``path`` is replaced only if it is empty or an artifact itself. After an error nothing is
    left, not even the folders above ``path`` that were made to hold it.

    Raises:
        ArtifactError: the place cannot be written, or holds something that is not an artifact.
    """
    path = Path(path)
    refuse_foreign_folder(path)
    with no_folders_left(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        except OSError as error:
            raise ArtifactError(
                f"cannot write to {path.parent} ({error.strerror}); choose another folder"
            ) from error
        try:
            yield staging
            staging.chmod(0o755)
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
            # Whoever has put something there meanwhile keeps his folder.
            with suppress(OSError):
                folder.rmdir()
        raise


def refuse_foreign_folder(path: Path) -> None:
    """Check that an output may go to ``path``: nothing there, an empty folder, or an artifact to replace.

    Raises:
        ArtifactError: the place holds something else.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise ArtifactError(f"{path} is a file, not a folder; choose another output folder")
    if any(path.iterdir()) and not (path / MANIFEST).exists():
        raise ArtifactError(
            f"{path} holds files that no step of this package made; choose another output folder or empty it"
        )


def write_json(path: Path, value: object) -> None:
    """Write ``value`` for people and machines: sorted, indented, and never NaN or Infinity.

    Raises:
        ValueError: ``value`` holds NaN or an infinity; write ``None`` and a reason instead.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        ArtifactError: the file is missing, too large, or holds no JSON object.
    """
    try:
        value = parse_json(read_text(path, _JSON_BYTES))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; run the step that makes it") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read as JSON ({error}); run the step that makes it again"
        ) from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} holds no JSON object; run the step that makes it again")
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
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def open_artifact(folder: Path, *, producer: str) -> Manifest:
    """The manifest of ``folder``, after checking that each file it names is there and unchanged.

    Raises:
        ArtifactError: no such folder, no manifest, another step's output, or a damaged file.
        StoreError: the manifest names a file outside the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is no folder; give the output folder of the {producer} step")
    if not (folder / MANIFEST).exists():
        raise ArtifactError(
            f"{folder} has no {MANIFEST}; give the output folder of a finished {producer} step"
        )
    manifest = read_manifest(folder / MANIFEST, producer=producer)
    for name, record in manifest.files.items():
        path = contained(folder, name)
        if not path.is_file():
            raise ArtifactError(f"{folder} lacks {name}; run the {producer} step again")
        if path.stat().st_size != record.size or sha256_of(path) != record.sha256:
            raise ArtifactError(f"{path} was changed after it was written; run the {producer} step again")
    return manifest


def read_manifest(path: Path, *, producer: str) -> Manifest:
    """A manifest alone, without the files that it vouches for.

    Raises:
        ArtifactError: it is missing, of another version, or another step's.
    """
    try:
        manifest = Manifest.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not a manifest of this version ({error.error_count()} fields differ); "
            f"run the {producer} step again"
        ) from error
    if manifest.producer != producer:
        raise ArtifactError(
            f"{path.parent} was made by the {manifest.producer} step; give the output folder of the {producer} step"
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


@cache
def git_commit() -> str | None:
    """The commit of the checkout this package runs from, ``-dirty`` if files differ; None outside git."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return os.environ.get("PGAT_GIT_COMMIT")
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
