"""A store of published runs; what is asked for of it is fetched to a folder of runs on this machine."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from model_core.artifacts import sha256_of
from model_core.disk import writing
from model_core.errors import ArtifactError, StoreError
from model_core.manifest import FileRecord
from model_core.publishing.index import Index
from model_core.publishing.record import as_record, record_in
from model_core.results.record import JsonObject
from model_core.results.run import RECORD, RunRecord
from model_core.store.base import Store
from model_core.store.names import contained
from model_core.store.together import together
from pipelines.review.wanted import Wanted, fits


@dataclass(frozen=True)
class Stamped:
    """A run with a stamp that tells, without reading its record, whether that has changed."""

    name: str
    stamp: str
    """Changes with the record."""
    read: Callable[[], RunRecord]
    """Gives the record.

    Raises:
        ArtifactError: it is damaged.
    """
    leave: Callable[[], None] = lambda: None
    """Writes it to the run's folder, if it is not there."""


class RunsElsewhere(Protocol):
    """Runs that are not in a folder of this machine."""

    def stamped(self) -> list[Stamped]:
        """Every run, in no order."""
        ...

    def fetch(self, names: Sequence[str], wanted: Wanted) -> bool:
        """Fetch some runs' records and the files that are wanted; returns whether all of these runs are there."""
        ...

    def bring(self, name: str, target: Path) -> None:
        """Copy the file ``<run>/<file>``."""
        ...


class PublishedRuns:
    """Runs that ``model_core.publishing`` put into a store.

    Args:
        folder: where to put what is fetched.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def stamped(self) -> list[Stamped]:
        """From the index: a few requests, however many runs there are.

        Raises:
            StoreError: the store cannot be read.
        """

        def one(content: JsonObject) -> Stamped:
            name = str(content["name"])

            return Stamped(
                name,
                stamp=f"{content['published_at']} {content.get('sha256')}",
                read=partial(as_record, content, f"the record of {name} in the index of {self._store.uri}"),
                leave=partial(keep_record, self._folder, content),
            )

        return [one(content) for content in Index(self._store).content().records]

    def fetch(self, names: Sequence[str], wanted: Wanted) -> bool:
        """Fetch some runs' records and the files that are wanted; returns whether all of these runs are there.

        A record is read from beside its files and not from the index, so that the two belong together.

        Raises:
            ArtifactError: it is damaged, or a file is not what it says.
            StoreError: the store cannot be read.
        """
        with writing(self._folder):
            found = [record for record in together(self._record, names) if record is not None]
            files = [(record, name) for record in found for name in record.files if fits(name, wanted)]
            together(lambda each: self._file(*each), files)
        return len(found) == len(names)

    def _record(self, name: str) -> RunRecord | None:
        record = record_in(self._store, name)
        if record is not None:
            keep_record(self._folder, record.model_dump(mode="json"))
        return record

    def _file(self, record: RunRecord, name: str) -> None:
        path, key = contained(self._folder / record.name, name), f"{record.name}/{name}"
        try:
            self._store.download(key, path)
        except StoreError as error:
            if self._store.exists(key):
                raise
            raise ArtifactError(
                f"{key} is not in {self._store.uri}, and the record of that run names it; publish that run again, or "
                "delete it"
            ) from error
        refuse_changed_copy(path, record.files[name])

    def bring(self, name: str, target: Path) -> None:
        """Copy the file ``<run>/<file>``.

        Raises:
            StoreError: it cannot be read.
        """
        self._store.download(name, target)


def refuse_changed_copy(path: Path, file: FileRecord) -> None:
    """Check a file that was fetched against its SHA-256, and delete it if it differs.

    Raises:
        ArtifactError: it differs.
    """
    if sha256_of(path) != file.sha256:
        path.unlink()
        raise ArtifactError(f"{path} was changed after it was written; make or publish it again", path=path)


def keep_record(folder: Path, content: Mapping[str, object]) -> None:
    """Write a record that was fetched to its run's folder below ``folder``."""
    path = folder / str(content["name"]) / RECORD
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
