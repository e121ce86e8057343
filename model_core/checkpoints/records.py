"""What a mirror of checkpoints holds, and how it is read; ``mirror.py`` draws its layout and writes it.

Nothing there is trusted: records are checked before they are used, and every file against its hash.
"""

import logging
import re
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from model_core.artifacts import FileRecord, sha256_of
from model_core.checkpoints.files import Seal
from model_core.documents import parse_json
from model_core.errors import CheckpointError, StoreError
from model_core.store.base import Store
from model_core.store.names import contained

log = logging.getLogger("pgat.checkpoints")
BLOBS, RECORDS = "blobs/", "checkpoints/"
_RECORD = re.compile(re.escape(RECORDS) + r"\d{6}-\d{8}\.json")


def records_of(store: Store) -> list[str]:
    """Keys of all complete checkpoints, oldest first; what else lies there is named and left alone."""
    keys = sorted(store.keys(RECORDS))
    strange = [key for key in keys if not _RECORD.fullmatch(key)]
    if strange:
        log.warning(
            "%s in %s is no checkpoint of this project; delete it (%d such)",
            strange[0],
            store.uri,
            len(strange),
        )
    return [key for key in keys if key not in strange]


def files_of(store: Store, key: str) -> dict[str, FileRecord]:
    """The files of a record by name.

    Raises:
        ValueError: it is damaged, or another kind of object.
        StoreError: it cannot be read.
    """
    content = parse_json(store.read(key))
    try:
        return Seal.model_validate(content).files
    except ValidationError as error:
        raise ValueError(
            f"it does not list files with their hashes ({error.error_count()} faults)"
        ) from error


def newest_position(store: Store) -> tuple[int, int] | None:
    """Epoch and step of the newest record in the store.

    Raises:
        StoreError: the store cannot be reached.
    """
    keys = records_of(store)
    if not keys:
        return None
    epoch, step = keys[-1].removeprefix(RECORDS).removesuffix(".json").split("-")
    return int(epoch), int(step)


def fetch_newest(store: Store, folder: Path) -> bool:
    """Replace what stands in ``folder`` by the newest checkpoint of the store that is whole.

    Returns:
        False if the store holds none.

    Raises:
        StoreError: the store cannot be reached.
        CheckpointError: it holds checkpoints, but none of them is whole.
    """
    keys = records_of(store)
    for key in reversed(keys):
        try:
            _fetch(store, key, folder)
        except (StoreError, ValueError) as error:
            log.warning("%s in %s is damaged (%s); trying the one before", key, store.uri, error)
        else:
            log.info("fetched %s from %s", key, store.uri)
            return True
    if keys:
        raise CheckpointError(
            f"none of the {len(keys)} checkpoints in {store.uri} can be read; "
            "mend the store, or choose another --checkpoint-uri to start anew"
        )
    return False


def _fetch(store: Store, key: str, folder: Path) -> None:
    files = files_of(store, key)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        for name, record in files.items():
            file = contained(Path(scratch), name)
            store.download(BLOBS + record.sha256, file)
            if sha256_of(file) != record.sha256:
                raise ValueError(f"{name} was changed after it was written")
        for path in sorted(Path(scratch).iterdir()):
            target = folder / path.name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            path.rename(target)
