"""What a mirror of checkpoints holds, and how it is read; ``mirror.py`` draws its layout and writes it.

Nothing there is trusted: records are checked before they are used, and every file against its hash. What is
damaged or gone gives way to the checkpoint before; a store that cannot be reached never does, since its newest
checkpoint may be whole: it is asked again for a while, and then that is an error.
"""

import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from model_core.artifacts import sha256_of
from model_core.checkpoints.control import MAX_BYTES, Damage, MirroredCheckpoint, parse
from model_core.checkpoints.files import saved_info, verify_checkpoint
from model_core.checkpoints.local import BEST, LAST
from model_core.deadlines import current
from model_core.errors import CheckpointError, OversizedError, StoreError, StoreTimeoutError
from model_core.manifest import FileRecord
from model_core.store.base import Store
from model_core.store.names import contained

log = logging.getLogger("pgat.checkpoints")
_Answer = TypeVar("_Answer")
BLOBS, RECORDS = "blobs/", "checkpoints/"
PAUSES_SECONDS = (1.0, 2.0, 4.0)
"""Between the attempts to read a store that cannot be reached."""
_RECORD = re.compile(re.escape(RECORDS) + r"\d{6}-\d{8}\.json")


class PatientStore:
    """Reads a store, and asks it again while it cannot be reached.

    Every method raises ``StoreError`` when that has lasted too long.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.uri = store.uri

    def keys(self, prefix: str) -> list[str]:
        """As of a store."""
        return self._asked(lambda: list(self._store.keys(prefix)))

    def read(self, key: str, max_bytes: int) -> bytes:
        """As of a store."""
        return self._asked(partial(self._store.read, key, max_bytes))

    def size(self, key: str) -> int | None:
        """As of a store."""
        return self._asked(partial(self._store.size, key))

    def download(self, key: str, file: Path) -> None:
        """As of a store."""
        self._asked(partial(self._store.download, key, file))

    def _asked(self, ask: Callable[[], _Answer]) -> _Answer:
        for pause in PAUSES_SECONDS:
            try:
                return ask()
            except (OversizedError, StoreTimeoutError):
                # The second has been waited for long enough.
                raise
            except StoreError as error:
                log.warning("%s; asking again in %g s", error, pause)
                time.sleep(min(pause, current().left()))
        return ask()


def record_key(epoch: int, step: int) -> str:
    """Key under which a checkpoint is listed; sorts by age."""
    return f"{RECORDS}{epoch:06d}-{step:08d}.json"


def records_of(store: Store | PatientStore) -> list[str]:
    """Keys of all complete checkpoints, oldest first; what else lies there is named and left alone."""
    keys = sorted(store.keys(RECORDS))
    strange = [key for key in keys if not _RECORD.fullmatch(key)]
    if strange:
        log.warning(
            "%s in %s is not a checkpoint of this project; delete it (%d such)",
            strange[0],
            store.uri,
            len(strange),
        )
    return [key for key in keys if key not in strange]


def files_of(store: Store | PatientStore, key: str) -> dict[str, FileRecord]:
    """The files of a record by name.

    Raises:
        Damage: it is damaged, or another kind of object.
        StoreError: it cannot be read.
    """
    try:
        content = store.read(key, MAX_BYTES)
    except OversizedError as error:
        raise Damage(str(error)) from error
    return parse(MirroredCheckpoint, content).files


def missing_blobs(store: Store, files: dict[str, FileRecord]) -> set[str]:
    """Hashes of those files that the store does not hold in their size.

    Raises:
        StoreError: the store cannot be reached.
    """
    sizes = {file.sha256: file.size for file in files.values()}
    return {digest for digest, size in sizes.items() if store.size(BLOBS + digest) != size}


def newest_position(store: Store) -> tuple[int, int] | None:
    """Epoch and step of the newest record in the store; whether it is whole, only fetching it shows.

    Raises:
        StoreError: the store cannot be reached.
    """
    keys = records_of(PatientStore(store))
    return _position_in(keys[-1]) if keys else None


def fetch_newest(store: Store, folder: Path, newer_than: tuple[int, int] | None = None) -> bool:
    """Replace what stands in ``folder`` by the newest checkpoint of the store that is whole.

    Args:
        newer_than: epoch and step of the checkpoint that ``folder`` has; no older one replaces it.

    Returns:
        False if the store holds none that is newer.

    Raises:
        StoreError: the store cannot be reached.
        CheckpointError: none of its checkpoints is whole, and ``folder`` has none either.
    """
    source = PatientStore(store)
    keys = [key for key in records_of(source) if newer_than is None or _position_in(key) > newer_than]
    for key in reversed(keys):
        try:
            _fetch(source, key, folder)
        except Damage as damage:
            log.warning("%s in %s is damaged (%s); trying the one before", key, store.uri, damage)
        else:
            log.info("fetched %s from %s", key, store.uri)
            return True
    if keys and newer_than is None:
        raise CheckpointError(
            f"none of the {len(keys)} checkpoints in {store.uri} can be read; "
            "repair the store, or choose another --checkpoint-uri to start over",
            uri=store.uri,
        )
    return False


def fetch_best(store: Store, folder: Path, epoch: int) -> bool:
    """Replace ``best`` in ``folder`` by that of ``epoch``; False if the store has no whole one.

    Raises:
        StoreError: the store cannot be reached.
    """
    source = PatientStore(store)
    for key in reversed(records_of(source)):
        try:
            files = {n: file for n, file in files_of(source, key).items() if n.startswith(f"{BEST}/")}
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
                for name, file in files.items():
                    _download(source, file, _folder_of(Path(scratch), name))
                verify_checkpoint(Path(scratch) / BEST)
                if saved_info(Path(scratch) / BEST).epoch == epoch:
                    _move(Path(scratch), folder)
                    return True
        except (Damage, CheckpointError) as error:
            log.warning("%s in %s has no intact %s (%s)", key, store.uri, BEST, error)
    return False


def _position_in(key: str) -> tuple[int, int]:
    epoch, step = key.removeprefix(RECORDS).removesuffix(".json").split("-")
    return int(epoch), int(step)


def _fetch(store: PatientStore, key: str, folder: Path) -> None:
    """Fetch a record's files; ``last`` must be whole, anything else that is damaged is said and left out."""
    files = files_of(store, key)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        for name, file in files.items():
            try:
                _download(store, file, _folder_of(Path(scratch), name))
            except Damage as damage:
                if name.startswith(f"{LAST}/"):
                    raise Damage(f"{name}: {damage}") from damage
                log.warning("%s of %s in %s is left out: %s", name, key, store.uri, damage)
        try:
            verify_checkpoint(Path(scratch) / LAST)
            saved_info(Path(scratch) / LAST)
        except CheckpointError as error:
            raise Damage(f"its {LAST} is not an intact checkpoint") from error
        _move(Path(scratch), folder)


def _folder_of(scratch: Path, name: str) -> Path:
    try:
        return contained(scratch, name)
    except StoreError as error:
        raise Damage(str(error)) from error


def _move(scratch: Path, folder: Path) -> None:
    for path in sorted(scratch.iterdir()):
        target = folder / path.name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        path.rename(target)


def _download(store: PatientStore, file: FileRecord, target: Path) -> None:
    """Fetch a blob; once more if another content came, since the way here may have changed it."""
    key = BLOBS + file.sha256
    for _ in range(2):
        size = store.size(key)
        if size is None:
            raise Damage("it is gone from the store")
        if size != file.size:
            raise Damage(f"it has {size} bytes in the store instead of {file.size}")
        store.download(key, target)
        if sha256_of(target) == file.sha256:
            return
    raise Damage("it was changed after it was written")
