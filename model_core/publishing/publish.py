"""Publishing a run: its files, then its record, then its entry in the index and the plain page of all runs."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from model_core.artifacts import sha256_of
from model_core.errors import ArtifactError, StoreError, shortened
from model_core.manifest import FileRecord
from model_core.progress import ProgressMeter
from model_core.publishing.index import Index
from model_core.publishing.page import REPORT, index_page
from model_core.publishing.record import ListedFile, as_record, record_in, record_key, sealed, write_record
from model_core.results.run import RECORD, RunRecord
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import INDEX, is_run_name, published_name
from model_core.store.together import together

log = logging.getLogger("pgat.runs")
_TRIES = 10
"""Attempts to write the page while others publish, too."""
_EARLIER_RECORD = "manifest.json"
"""The file by which a run of earlier code is known, which published no record."""


def publish_run(
    uri: str, record: RunRecord, files: Sequence[ListedFile], *, tells_reason: bool = False
) -> RunRecord:
    """Send a run to the store of runs at ``uri``; its record appears only when all its files are there.

    Files that the store already has of this run are not sent again, so the same call completes one that was cut off.
    A record whose files are about to change is withdrawn first. Nothing else is deleted.

    Args:
        record: of a run that has ended.
        files: what goes beside it; each is checked against its SHA-256 before it is sent.
        tells_reason: whether to publish the reason of a failure, which may name files: a pod's are no secret, those of
            somebody's machine may be.

    Returns:
        The record as it is published; of the path of a table on this machine it keeps the last part only.

    Raises:
        ArtifactError: a file was changed since it was listed.
        StoreError: the store cannot be reached or written.
    """
    store = open_store(uri)
    index = Index(store)
    published = sealed(
        record.model_copy(
            update={
                "source": published_name(record.source),
                "reason": record.reason if tells_reason else "",
                "artifacts": _artifacts(record, files),
                "files": {file.name: FileRecord(sha256=file.sha256, size=file.size) for file in files},
                "published_at": _moment(index, record.name),
            }
        )
    )
    _send(store, published, files)
    _list(store, index, published)
    return published


def renew_record(uri: str, record: RunRecord) -> None:
    """Replace the record of a published run whose files did not change.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    store = open_store(uri)
    index = Index(store)
    now = {"source": published_name(record.source), "published_at": _moment(index, record.name)}
    _list(store, index, sealed(record.model_copy(update=now)))


def _moment(index: Index, name: str) -> str:
    return index.content().after(name, datetime.now(UTC))


def _list(store: Store, index: Index, published: RunRecord) -> None:
    write_record(store, published)
    index.add(published)
    renew_page(store, index)
    index.fold_if_many()


def _artifacts(record: RunRecord, files: Sequence[ListedFile]) -> dict[str, str]:
    """Kind of each artifact that is published → its path beside the record."""
    parts = {file.name.partition("/")[0] for file in files}
    return {kind: kind for kind in record.artifacts if kind in parts} | {
        file.name.partition(".")[0]: file.name for file in files if file.name in {"report.html", "summary.md"}
    }


def _send(store: Store, published: RunRecord, files: Sequence[ListedFile]) -> None:
    try:
        earlier = record_in(store, published.name)
    except ArtifactError as error:
        log.warning("%s; it is replaced", error)
        earlier = None
        store.delete(record_key(published.name))
    had = {} if earlier is None else earlier.files
    if any(name in had and had[name] != file for name, file in published.files.items()):
        # Otherwise a reader could take a new file for one that the old record names.
        store.delete(record_key(published.name))
    with ProgressMeter(f"publishing {published.name}", len(files), "files") as meter:

        def send(file: ListedFile) -> None:
            key = f"{published.name}/{file.name}"
            if had.get(file.name) != published.files[file.name] or store.size(key) != file.size:
                if sha256_of(file.path) != file.sha256:
                    raise ArtifactError(
                        f"{file.path} was changed after it was written; run that step again", path=file.path
                    )
                store.upload(key, file.path)
            meter.update()

        together(send, files)


def renew_page(store: Store, index: Index) -> None:
    """Write the plain page of all runs, and again while others publish, until it agrees with the index.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    written = None
    for _ in range(_TRIES):
        page = index_page(indexed_records(store, index)).encode()
        if page == written:
            return
        store.write(INDEX, page)
        written = page


def indexed_records(store: Store, index: Index) -> list[RunRecord]:
    """Every run in the index, last started first; an entry that is no record is named in a warning and left out.

    Raises:
        StoreError: the store cannot be read.
    """
    found = []
    for content in index.content().records:
        try:
            found.append(as_record(content, f"the record of {content['name']} in the index of {store.uri}"))
        except ArtifactError as error:
            log.warning("%s", error)
    return sorted(found, key=lambda record: (record.started_at, record.name), reverse=True)


def withdraw_run(uri: str, name: str) -> int:
    """Delete a published run and all objects below its name; returns the number of these objects.

    The run leaves the index first, and its record goes before its files, so that nobody finds half of it. The same
    call completes one that was cut off.

    Raises:
        StoreError: there is no such run, or the store cannot be reached or written.
    """
    store = open_store(uri)
    index = Index(store)
    content = index.content()
    keys = list(store.keys(f"{name}/"))
    if not keys and not any(record["name"] == name for record in content.records):
        raise StoreError(f"there is no run {name} in {store.uri}", uri=store.uri, key=record_key(name))
    index.bury(name, content.after(name, datetime.now(UTC)))
    for key in sorted(keys, key=lambda key: key != record_key(name)):
        store.delete(key)
    renew_page(store, index)
    index.fold_if_many()
    return len(keys)


def reindex(uri: str) -> int:
    """Rebuild the index from the records of all runs in the store; returns the number of runs.

    For a store whose index was damaged or deleted. A run that has no record any more leaves the index, and one that
    earlier code published without a record is named in a warning.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    store = open_store(uri)
    index = Index(store)
    content = index.content()
    known = {str(record["name"]): record.get("sha256") for record in content.records}

    def seen(name: str) -> None:
        try:
            record = record_in(store, name)
        except ArtifactError as error:
            log.warning("%s", error)
            return
        if record is not None and record.published_at is not None and known.get(name) != record.sha256:
            index.add(record)

    folders = [key.partition("/") for key in store.keys()]  # noqa: SIM118  a store is not a dict
    names = [name for name, _, file in folders if file == RECORD]
    together(seen, names)
    earlier = {name for name, _, file in folders if file == _EARLIER_RECORD and is_run_name(name)} - set(
        names
    )
    if earlier:
        log.warning(
            "published by earlier code, without a record, and therefore not listed: %s; publish them again, or open "
            "their %s",
            shortened(", ".join(sorted(earlier))),
            REPORT,
        )
    for name in known.keys() - set(names):
        index.bury(name, content.after(name, datetime.now(UTC)))
    index.fold()
    index.drop_damaged()
    renew_page(store, index)
    return len(index.content().records)
