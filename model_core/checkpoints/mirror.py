"""Checkpoints in a store, copied there in the background while training goes on.

    owner.json                          the run that writes here (``lease.py``)
    blobs/<sha256>                      every file once, under the hash of its content
    checkpoints/<epoch>-<step>.json     a complete checkpoint: its files and their hashes; written last

A checkpoint whose record is there is complete: that its blobs are there is looked at before the record is
written. A reader checks every hash and falls back to the record before. While a slow store is still busy with
one checkpoint, newer ones replace each other in the queue of one: training never waits.
"""

import json
import logging
import shutil
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from model_core.artifacts import sha256_of
from model_core.checkpoints import local
from model_core.checkpoints.control import Damage, MirroredCheckpoint
from model_core.checkpoints.lease import PERIOD_SECONDS, Lease
from model_core.checkpoints.records import (
    BLOBS,
    fetch_best,
    fetch_newest,
    files_of,
    missing_blobs,
    newest_position,
    records_of,
)
from model_core.checkpoints.snapshot import Snapshot, files_below, snapshot_of
from model_core.deadlines import Deadline, Ending
from model_core.errors import StoreError
from model_core.manifest import FileRecord
from model_core.progress import duration
from model_core.results.training import MirrorOutcome
from model_core.store.base import Store
from model_core.store.locate import open_store

log = logging.getLogger("pgat.checkpoints")
_LONGEST_PAUSE_SECONDS = 60.0
_FOR_UPLOADS = 0.9
"""Share of the time at a run's end; the rest is for releasing the lease."""


class Mirror:
    """Uploads snapshots of checkpoints from a thread of its own.

    Args:
        store: where to.
        lease: of that store, already claimed; a lost one ends the uploads.
        keep: complete checkpoints to keep there.
        ending: how long the end of a run waits for what is not uploaded yet, and for the lease to be released.
        pause_seconds: wait after the first failed attempt; doubles up to a minute.

    Use it as a context: leaving it closes the mirror.
    """

    def __init__(
        self, store: Store, lease: Lease, keep: int, ending: Ending, pause_seconds: float = 1.0
    ) -> None:
        self._store, self._lease = store, lease
        self._keep, self._pause = max(keep, 1), pause_seconds
        self._newest: dict[str, FileRecord] = {}
        self._claim_fault: str | None = None
        self._set_aside = True
        self._waiting: Snapshot | None = None
        self._busy = False
        self._deadline: Deadline | None = None
        self._summary: MirrorOutcome | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="checkpoint-mirror", daemon=True)
        self.uri, self.ending = store.uri, ending
        self.checkpoints, self.failures = 0, 0
        """Checkpoints that are complete in the store, and attempts that failed."""
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, source: Path, names: Sequence[str], epoch: int, step: int) -> None:
        """Hand over the files and folders ``names`` of ``source`` as they are now.

        Where the disk has no room for a copy of them, that is said, and the next checkpoint is handed over again.
        """
        try:
            snapshot = snapshot_of(source, names, epoch, step)
        except OSError as error:
            self.failures += 1
            self._set_aside = False
            log.warning(
                "a checkpoint cannot be set aside for %s (%s); make room in %s", self.uri, error, source
            )
            return
        self._set_aside = True
        with self._news:
            replaced, self._waiting = self._waiting, snapshot
            self._news.notify_all()
        if replaced is not None:
            shutil.rmtree(replaced.folder)

    def fetch_best(self, folder: Path, epoch: int) -> bool:
        """Put the ``best`` of ``epoch`` from the store into ``folder``; False if there is no intact one.

        Raises:
            StoreError: the store cannot be reached.
        """
        return fetch_best(self._store, folder, epoch)

    def close(self) -> MirrorOutcome:
        """Wait for what is not uploaded yet, release the lease, and say how it went; the first call counts."""
        if self._summary is not None:
            return self._summary
        with self.ending.waiting() as end:
            done = self._uploaded(Deadline.after(_FOR_UPLOADS * end.left()))
            self._lease.release()
        self._summary = MirrorOutcome(
            uri=self._store.uri,
            newest_is_complete=done,
            checkpoints=self.checkpoints,
            failed_attempts=self.failures,
        )
        return self._summary

    def _uploaded(self, deadline: Deadline) -> bool:
        """Wait until the newest checkpoint is in the store, and say whether it is."""
        with self._news:
            self._deadline = deadline
            self._news.notify_all()
            if self._waiting is not None or self._busy:
                wait = duration(deadline.left())
                log.info("waiting at most %s for the newest checkpoint to reach %s", wait, self._store.uri)
        self._thread.join(deadline.left())
        if self._thread.is_alive() or self._waiting is not None or self._busy or not self._set_aside:
            log.error("the newest checkpoint is not in %s; it is in the local folder only", self._store.uri)
            return False
        if self._claim_fault is not None:
            log.error(
                "the newest checkpoint in %s is no longer intact: %s", self._store.uri, self._claim_fault
            )
            return False
        return True

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting is not None or self._deadline is not None)
                if self._waiting is None:
                    break
                snapshot, self._waiting, self._busy = self._waiting, None, True
            delivered = self._deliver(snapshot)
            shutil.rmtree(snapshot.folder, ignore_errors=True)
            with self._news:
                self._busy = not delivered and self._waiting is None
            if self._lease.lost_to is not None or (self._expired() and not delivered):
                return
        self._look_again()

    def _look_again(self) -> None:
        """Note at the end what is gone of the newest checkpoint, for it is about to be called complete."""
        try:
            gone = missing_blobs(self._store, self._newest)
        except StoreError as error:
            self._claim_fault = str(error)
        else:
            if gone:
                self._claim_fault = f"{len(gone)} of its files are gone"

    def _deliver(self, snapshot: Snapshot) -> bool:
        """Try until it is there, a newer one waits, the lease is lost, or patience ends."""
        pause = self._pause
        while True:
            try:
                if not self._lease.held():
                    log.error(
                        "%s took over %s; this run goes on without a mirror",
                        self._lease.lost_to,
                        self._store.uri,
                    )
                    return False
                self._upload(snapshot)
            except (StoreError, OSError, ValueError, KeyError) as error:
                self.failures += 1
                log.warning("a checkpoint could not be mirrored yet (attempt %d): %s", self.failures, error)
            else:
                self.checkpoints += 1
                self._tidy()
                return True
            was_open = self._deadline is None
            with self._news:
                self._news.wait_for(partial(self._should_wake, was_open), timeout=pause)
            if self._waiting is not None or self._expired():
                return False
            # Near the run's end a long pause would waste the time that is left.
            pause = self._pause if self._ends_soon(was_open) else min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _should_wake(self, was_open: bool) -> bool:
        return self._waiting is not None or self._ends_soon(was_open)

    def _ends_soon(self, was_open: bool) -> bool:
        return was_open and self._deadline is not None

    def _expired(self) -> bool:
        return self._deadline is not None and self._deadline.left() == 0

    def _upload(self, snapshot: Snapshot) -> None:
        paths = {file.relative_to(snapshot.folder).as_posix(): file for file in files_below(snapshot.folder)}
        files = {
            name: FileRecord(sha256=sha256_of(path), size=path.stat().st_size) for name, path in paths.items()
        }
        missing = missing_blobs(self._store, files)
        for name, file in files.items():
            if file.sha256 in missing:
                self._store.upload(BLOBS + file.sha256, paths[name])
                missing.remove(file.sha256)
        # Sending may take long, and what was there at its beginning may be gone at its end.
        if gone := missing_blobs(self._store, files):
            raise StoreError(
                f"{len(gone)} files are not in {self._store.uri} although they were sent; "
                "check what deletes objects there",
                uri=self._store.uri,
            )
        record = MirroredCheckpoint(schema_version=1, epoch=snapshot.epoch, step=snapshot.step, files=files)
        content = json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True)
        self._store.write(snapshot.record, content.encode())
        self._newest = files

    def _tidy(self) -> None:
        """Remove what is too old; that it cannot be removed makes the newest checkpoint no less complete."""
        try:
            self._prune()
        except StoreError as error:
            log.warning("older checkpoints stay in %s for now: %s", self._store.uri, error)

    def _prune(self) -> None:
        """Remove records beyond the newest few good ones, then the blobs that no record names."""
        named: set[str] = set()
        good = 0
        for key in reversed(records_of(self._store)):
            if good == self._keep:
                self._store.delete(key)
                continue
            try:
                named |= {file.sha256 for file in files_of(self._store, key).values()}
                good += 1
            except Damage as damage:
                log.warning("%s in %s is not the record of a checkpoint (%s)", key, self._store.uri, damage)
        for key in list(self._store.keys(BLOBS)):
            if key.removeprefix(BLOBS) not in named:
                self._store.delete(key)


def open_mirror(
    uri: str, folder: Path, keep: int, ending: Ending, lease_period_seconds: float = PERIOD_SECONDS
) -> Mirror:
    """Claim the lease of ``uri``, fetch its newest checkpoint if ``folder`` has no newer one, and mirror from now on.

    Raises:
        StoreError: the store cannot be reached; nothing has been trained yet, so nothing is lost.
        CheckpointError: another run is alive there, or none of its checkpoints is whole.
    """
    store = open_store(uri)
    lease = Lease(store, lease_period_seconds)
    lease.claim()
    try:
        here, there = local.newest_position(folder), newest_position(store)
        if there is not None and (here is None or there > here):
            fetch_newest(store, folder, newer_than=here)
    except BaseException:
        with ending.waiting():
            lease.release()
        raise
    return Mirror(store, lease, keep, ending)
