"""The index of published runs: what is added is found, whoever folds meanwhile, and what was deleted is not."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_core.errors import StoreError
from model_core.publishing import pieces
from model_core.publishing.index import MOST_LOOSE, Index
from model_core.publishing.pieces import is_snapshot
from model_core.publishing.record import sealed
from model_core.results.run import RunRecord
from model_core.store.base import Store
from model_core.store.local import LocalStore
from model_core.store.locate import open_store
from tests.pipeline.synthetic_runs import synthetic_record
from tests.security.hostile_s3 import HostileS3

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"], name="store")
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return LocalStore(tmp_path)
    request.getfixturevalue("s3")
    return open_store("s3://bucket/runs")


def record(name: str, minutes: int = 0, **changes: object) -> RunRecord:
    """As it is published some minutes after noon."""
    when = (NOON + timedelta(minutes=minutes)).isoformat(timespec="microseconds")
    return sealed(synthetic_record(1, name=name, published_at=when, **changes))


def names(store: Store) -> list[str]:
    return sorted(str(each["name"]) for each in Index(store).content().records)


def keys(store: Store) -> list[str]:
    return list(store.keys(".index/"))


def test_each_run_is_one_object_below_its_day_and_of_two_with_one_name_the_later_counts(store: Store) -> None:
    for each in (record("a", 5, seconds=5.0), record("b"), record("a", 0, seconds=1.0)):
        Index(store).add(each)
    assert len(keys(store)) == 3
    assert all(key.startswith(".index/2026-03-01/") for key in keys(store))
    content = Index(store).content()
    assert [(each["name"], each["seconds"]) for each in content.records] == [("a", 5.0), ("b", 61.0)]


def test_what_is_folded_is_one_object_that_says_the_same(store: Store) -> None:
    for number in range(5):
        Index(store).add(record(f"r{number}", number))
    before = Index(store).content()
    Index(store).fold()
    (snapshot,) = keys(store)
    assert is_snapshot(snapshot)
    assert Index(store).content() == before
    Index(store).fold()
    assert keys(store) == [snapshot], "what is folded already stays as it is"


def test_a_publisher_folds_when_there_are_many(store: Store) -> None:
    index = Index(store)
    for number in range(MOST_LOOSE + 1):
        index.add(record(f"r{number}"))
        index.content()
        index.fold_if_many()
        assert sum(not is_snapshot(key) for key in keys(store)) <= MOST_LOOSE
    assert len(names(store)) == MOST_LOOSE + 1


def test_a_deleted_run_is_not_listed_before_nor_after_a_fold_and_can_be_published_again(store: Store) -> None:
    index = Index(store)
    index.add(record("a"))
    index.add(record("b"))
    index.bury("a", index.content().after("a", NOON))
    assert names(store) == ["b"]
    index.fold()
    assert names(store) == ["b"]
    again = index.content().after("a", NOON)
    index.add(sealed(record("a").model_copy(update={"published_at": again})))
    assert names(store) == ["a", "b"]


def test_a_run_whose_publishers_clock_is_ahead_can_be_deleted(store: Store) -> None:
    index = Index(store)
    index.add(record("a", minutes=60 * 24 * 365))
    index.bury("a", index.content().after("a", NOON))
    assert names(store) == []


def test_a_fold_deletes_nothing_that_was_added_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the moment when it reads and the moment when it deletes."""
    Index(store).add(record("a"))
    folding = Index(store)
    write = store.write

    def write_and_let_others(key: str, content: bytes) -> None:
        if is_snapshot(key):
            Index(LocalStore(store.root) if isinstance(store, LocalStore) else open_store(store.uri)).add(
                record("b")
            )
        write(key, content)

    monkeypatch.setattr(store, "write", write_and_let_others)
    folding.fold()
    assert names(store) == ["a", "b"]


def test_of_two_who_fold_at_once_neither_brings_a_deleted_run_back(store: Store) -> None:
    """The slow one read the index before the run was deleted, and writes its snapshot after the quick one's."""
    Index(store).add(record("a"))
    Index(store).add(record("b"))
    slow = Index(store)
    slow.content()
    deleting = Index(store)
    deleting.bury("a", deleting.content().after("a", datetime.now(UTC)))
    fixed = slow._refreshed()
    deleting.fold()
    slow._refreshed = lambda: fixed  # type: ignore[method-assign]
    slow.fold()
    assert names(store) == ["b"]
    Index(store).fold()
    assert names(store) == ["b"]


def test_a_snapshot_forgets_a_deleted_name_after_a_day(store: Store) -> None:
    index = Index(store)
    index.bury("a", NOON.isoformat(timespec="microseconds"))
    assert index.content().deleted
    index.fold()
    assert Index(store).content().deleted == {}


def test_a_snapshot_that_cannot_be_read_back_deletes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index(store).add(record("a"))
    before = keys(store)
    index = Index(store)
    index.content()
    monkeypatch.setattr(store, "read", lambda key, most: b"something else")
    with pytest.raises(StoreError, match="nothing was deleted"):
        index.fold()
    assert set(before) <= set(keys(store))


def test_a_snapshot_that_would_be_too_large_to_be_read_deletes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        Index(store).add(record(name))
    before = keys(store)
    index = Index(store)
    index.content()
    with monkeypatch.context() as small:
        small.setattr(pieces, "_MOST_MARKS", 10)
        with pytest.raises(StoreError, match="more values than any index"):
            index.fold()
    assert set(before) <= set(keys(store))
    assert names(store) == ["a", "b"]


def test_a_reader_whose_objects_are_folded_under_its_hands_reads_again(s3: HostileS3) -> None:
    store = open_store("s3://bucket/runs")
    for number in range(3):
        Index(store).add(record(f"r{number}"))
    reading = Index(open_store("s3://bucket/runs"))
    listed = reading._store.keys

    def list_and_let_others_fold(prefix: str = "") -> Iterator[str]:
        found = list(listed(prefix))
        if not any(map(is_snapshot, found)):
            Index(store).fold()
        return iter(found)

    reading._store.keys = list_and_let_others_fold  # type: ignore[method-assign]
    assert len(reading.content().records) == 3


def test_many_publishers_who_fold_all_the_time_lose_nothing(s3: HostileS3) -> None:
    def publish(publisher: int) -> None:
        index = Index(open_store("s3://bucket/runs"))
        for number in range(10):
            index.add(record(f"p{publisher}-{number}"))
            if number % 3 == publisher % 3:
                index.fold()

    threads = [threading.Thread(target=publish, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(open_store("s3://bucket/runs")) == sorted(f"p{p}-{n}" for p in range(4) for n in range(10))
