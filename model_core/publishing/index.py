"""The index of published runs: reading it takes a few requests, however many runs there are.

    .index/<day>/<sha256>.json.gz        one run that was published or deleted on that day
    .index/snapshot/<sha256>.json.gz     many of these, folded together

Each publisher adds an object of its own, so two that publish at once lose nothing. When there are a few dozen, a
publisher folds them into a snapshot and, once that can be read, deletes the objects that it folded, and no others.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model_core.errors import OversizedError, StoreError
from model_core.publishing.pieces import (
    FOLDER,
    PACKED_BYTES,
    SNAPSHOT,
    Piece,
    is_key,
    is_snapshot,
    key_of,
    merged,
    packed,
    unpacked,
)
from model_core.results.record import JsonObject
from model_core.results.run import RunRecord
from model_core.store.base import Store
from model_core.store.together import together

log = logging.getLogger("pgat.runs")
MOST_LOOSE = 32
"""Most objects beside the snapshot before they are folded; a reader fetches them all."""
_REMEMBERED = timedelta(days=1)
"""How long a snapshot remembers that a run was deleted. Another publisher that read the index before may still be
folding it, and would bring the run back; no folding takes that long."""
_TRIES = 10
"""Attempts to read an index that others fold meanwhile."""


@dataclass(frozen=True)
class IndexContent:
    """The runs that an index lists, and those that it knows to be deleted."""

    records: tuple[JsonObject, ...]
    """The newest record of each run, last published first."""
    deleted: dict[str, str]
    """Name → when it was deleted, ISO 8601 in UTC."""

    def after(self, name: str, now: datetime) -> str:
        """A time for a change of the run ``name``: ``now``, or 1 µs after its last known change if that is later."""
        known = [str(record["published_at"]) for record in self.records if record["name"] == name]
        known += [self.deleted[name]] if name in self.deleted else []
        ticks = [datetime.fromisoformat(when) + timedelta(microseconds=1) for when in known]
        return max([now, *ticks]).isoformat(timespec="microseconds")


class Index:
    """The index of the runs in a store; an object that was read once is not read again.

    Raises:
        StoreError: by each method, if the store cannot be read or written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pieces: dict[str, Piece] = {}
        self._damaged: set[str] = set()
        self._listed: list[str] = []
        """Keys of the intact objects when the index was last read."""

    def content(self) -> IndexContent:
        """What is published now; a damaged object is named in a warning and left out."""
        found = merged([self._pieces[key] for key in self._refreshed()])
        return IndexContent(found.records, dict(found.deleted))

    def add(self, record: RunRecord) -> None:
        """List a run whose sealed record is already in the store."""
        assert record.published_at is not None
        self._append(Piece((record.model_dump(mode="json"),)), record.published_at)

    def bury(self, name: str, when: str) -> None:
        """Stop listing whatever was published as ``name`` up to the time ``when``."""
        self._append(Piece(deleted={name: when}), when)

    def fold_if_many(self) -> None:
        """Fold the objects into one if the last reading found many. A failure is only logged: the index stays whole."""
        if sum(not is_snapshot(key) for key in self._listed) <= MOST_LOOSE:
            return
        try:
            self.fold()
        except StoreError as error:
            log.warning("the index of %s could not be made smaller: %s", self._store.uri, error)

    def fold(self) -> None:
        """Write what all objects say into one snapshot, and delete them once it can be read."""
        keys = self._refreshed()
        found = merged([self._pieces[key] for key in keys])
        oldest = (datetime.now(UTC) - _REMEMBERED).isoformat(timespec="microseconds")
        piece = Piece(found.records, {name: when for name, when in found.deleted.items() if when > oldest})
        content = packed(piece)
        snapshot = key_of(content, SNAPSHOT)
        self._store.write(snapshot, content)
        try:
            self._pieces[snapshot] = unpacked(self._store.read(snapshot, PACKED_BYTES), snapshot)
        except ValueError as error:
            raise StoreError(
                f"{snapshot} in {self._store.uri} is not what was written there ({error}), so nothing was deleted; "
                "check the store",
                uri=self._store.uri,
                key=snapshot,
            ) from error
        together(self._store.delete, [key for key in keys if key != snapshot])

    def drop_damaged(self) -> None:
        """Delete the objects that could not be read; call it after their runs were listed anew."""
        together(self._store.delete, sorted(self._damaged))

    def _append(self, piece: Piece, when: str) -> None:
        content = packed(piece)
        key = key_of(content, when[:10])
        self._store.write(key, content)
        self._damaged.discard(key)

    def _refreshed(self) -> list[str]:
        """Keys of all intact objects, each of which has been read."""
        for _ in range(_TRIES):
            keys = [key for key in self._store.keys(FOLDER) if is_key(key) and key not in self._damaged]
            new = [key for key in keys if key not in self._pieces]
            read = together(self._read, new)
            # An object that is gone was folded after the listing, into a snapshot that the listing does not have.
            if all(read):
                self._listed = [key for key in keys if key not in self._damaged]
                return self._listed
        raise StoreError(
            f"the index of {self._store.uri} changes faster than it can be read; try again",
            uri=self._store.uri,
        )

    def _read(self, key: str) -> bool:
        """Read an object, and return whether it is still there."""
        try:
            self._pieces[key] = unpacked(self._store.read(key, PACKED_BYTES), key)
        except (OversizedError, ValueError) as error:
            self._damaged.add(key)
            log.warning(
                "%s in %s is damaged (%s), and some runs may be missing; list the runs anew with `runs reindex`",
                key,
                self._store.uri,
                error,
            )
        except StoreError:
            if self._store.exists(key):
                raise
            return False
        return True
