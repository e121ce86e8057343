"""The record of a published run: sealed with a digest, and written after every file that it names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from model_core.artifacts import content_digest
from model_core.documents import parse_json
from model_core.errors import ArtifactError, OversizedError, StoreError, counted
from model_core.manifest import FileRecord
from model_core.publishing.pieces import is_time
from model_core.results.run import RECORD, RunRecord
from model_core.store.base import READ_BYTES, Store
from model_core.store.names import is_plain, is_run_name

_AGAIN = "publish that run again, or delete it"


@dataclass(frozen=True)
class ListedFile:
    """One file of a run, as its record or its manifest lists it."""

    name: str
    """As ``runs download`` calls it: ``model/best/model.safetensors``."""
    path: Path
    size: int
    """Bytes."""
    sha256: str


def record_key(name: str) -> str:
    """Key of the record of the run ``name`` in a store of runs."""
    return f"{name}/{RECORD}"


def sealed(record: RunRecord) -> RunRecord:
    """The record with the digest of its content."""
    content = record.model_dump(mode="json", exclude={"sha256"})
    return record.model_copy(update={"sha256": content_digest(content)})


def write_record(store: Store, record: RunRecord) -> None:
    """Write a sealed record to the store, where its run is then found.

    Raises:
        StoreError: the store cannot be written.
    """
    text = json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    store.write(record_key(record.name), f"{text}\n".encode())


def record_in(store: Store, name: str) -> RunRecord | None:
    """The record of the run ``name``; ``None`` if there is none.

    Raises:
        ArtifactError: it is damaged, or another run's.
        StoreError: the store cannot be read.
    """
    key = record_key(name)
    if not is_run_name(name) or not store.exists(key):
        return None
    try:
        content = parse_json(store.read(key))
    except OversizedError as error:
        raise _damaged(store, key, f"it is larger than {READ_BYTES:,} bytes") from error
    except StoreError:
        if store.exists(key):
            raise
        return None  # deleted meanwhile
    except ValueError as error:
        raise _damaged(store, key, str(error)) from error
    if not isinstance(content, dict) or content.get("name") != name:
        raise _damaged(store, key, "it does not name this run")
    return checked(content, f"{key} in {store.uri}")


def checked(content: Mapping[str, object], where: str) -> RunRecord:
    """The record that a JSON object holds, checked against its own digest.

    Args:
        where: what messages call it.

    Raises:
        ArtifactError: it holds none, or was changed after it was sealed.
    """
    rest = {key: value for key, value in content.items() if key != "sha256"}
    if content.get("sha256") != content_digest(rest):
        raise ArtifactError(f"{where} was changed after it was published; {_AGAIN}")
    return as_record(content, where)


def as_record(content: Mapping[str, object], where: str) -> RunRecord:
    """The same without the digest, for content that something else vouches for.

    Raises:
        ArtifactError: it holds none.
    """
    try:
        record = RunRecord.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(
            f"{where} is not the record of a run ({counted(error.error_count(), 'wrong field')}); {_AGAIN}"
        ) from error
    if not is_run_name(record.name):
        raise ArtifactError(f"{where} gives its run a name that no run can have; {_AGAIN}")
    if not all(map(is_plain, record.artifacts.values())):
        raise ArtifactError(f"{where} names artifacts outside of its folder; {_AGAIN}")
    if record.published_at is not None and not is_time(record.published_at):
        raise ArtifactError(f"{where} does not say when it was published; {_AGAIN}")
    return record


def listed(files: Mapping[str, FileRecord], folder: Path) -> list[ListedFile]:
    """The files that a record names, with their paths below ``folder``, where they need not be yet."""
    return [ListedFile(name, folder / name, file.size, file.sha256) for name, file in files.items()]


def _damaged(store: Store, key: str, reason: str) -> ArtifactError:
    return ArtifactError(f"{key} in {store.uri} is not the record of a run ({reason}); {_AGAIN}")
