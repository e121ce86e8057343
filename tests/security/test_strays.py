"""One stray or damaged object in a store or a folder is named, and stops nobody."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model_core.artifacts import content_digest, write_manifest
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, position
from model_core.checkpoints.lease import OWNER, Lease
from model_core.checkpoints.local import LAST
from model_core.checkpoints.mirror import Mirror
from model_core.checkpoints.records import RECORDS, fetch_newest, newest_position
from model_core.deadlines import Ending
from model_core.errors import CheckpointError
from model_core.publishing.index import Index
from model_core.publishing.pieces import PACKED_BYTES, Piece, key_of, packed
from model_core.publishing.publish import indexed_records, reindex
from model_core.publishing.record import sealed, write_record
from model_core.results.run import RunRecord
from model_core.store.base import READ_BYTES
from model_core.store.local import LocalStore
from pipelines.review.listing import list_runs
from tests.checkpoints.fakes import write_checkpoint

DAMAGED = [b"", b"{", b"[]", b"null", b"5", b'"x"', b"{}", b"\xff\xfe", b'{"files": []}', b"[" * 100_000]
RECORD = {
    "schema_version": 1, "name": "good", "source": "sample://nasdaq", "started_at": "2026-01-01T00:00:00+00:00",
    "code_version": "x", "settings": {}, "status": "failed", "failed_step": "train", "reason": "no memory",
}  # fmt: skip


WHEN = "2026-01-01T00:00:00.000000+00:00"
NEVER = "9999-12-31T23:59:59.999999+00:00"
"""Nothing can be published after it."""
PUBLISHED: dict[str, object] = RECORD | {"published_at": WHEN}


def indexed(store: LocalStore, content: bytes) -> str:
    """Put an object into the index; its key."""
    key = key_of(content, WHEN[:10])
    store.write(key, content)
    return key


@pytest.mark.parametrize(
    "content",
    [
        *DAMAGED,
        *(gzip.compress(content, mtime=0) for content in DAMAGED),
        gzip.compress(
            json.dumps({"schema_version": 2, "records": [PUBLISHED], "deleted": {}}).encode(), mtime=0
        ),
        packed(Piece(({"name": "no name"},))),
        packed(Piece((PUBLISHED,)))[:-9],
        packed(Piece((PUBLISHED | {"published_at": NEVER},))),
        packed(Piece(deleted={"good": NEVER})),
        packed(Piece(deleted={"good": WHEN.replace("01-01", "99-99")})),
        gzip.compress(b'{"schema_version": 1, "deleted": {}, "records": [' + b"{}," * 2**23 + b"{}]}"),
    ],
)
def test_an_index_lists_the_good_runs_and_names_what_is_none(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    indexed(store, packed(Piece((PUBLISHED,))))
    damaged = indexed(store, content)
    store.write(".index/notes.txt", b"somebody's")
    index = Index(store)
    assert [run.name for run in indexed_records(store, index)] == ["good"]
    assert caplog.text.count(f"{damaged} in {tmp_path} is damaged") == 1
    assert index.content().after("good", datetime.now(UTC)) > WHEN
    index.fold()
    assert store.exists(damaged), "what cannot be folded stays"


def test_an_object_in_the_index_that_is_too_large_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    indexed(store, packed(Piece((PUBLISHED,))))
    key = key_of(b"", WHEN[:10])
    with (tmp_path / key).open("wb") as file:
        file.truncate(PACKED_BYTES + 1)
    assert [run.name for run in indexed_records(store, Index(store))] == ["good"]
    assert f"{key} in {tmp_path} is damaged" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"published_at": NEVER},
        {"published_at": "../../x"},
        {"seconds": "Infinity"},
        {"artifacts": {"evaluation": "/etc"}},
        {"artifacts": {"evaluation": "../../other"}},
        None,
    ],
)
def test_the_record_of_a_run_that_is_none_is_not_listed_anew(
    changes: dict[str, object] | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    write_record(store, sealed(RunRecord.model_validate(PUBLISHED)))
    stray = PUBLISHED | {"name": "stray"} | (changes or {})
    text = json.dumps(stray | {"sha256": content_digest(stray)}) if changes else " " * (READ_BYTES + 1)
    store.write("stray/run.json", text.encode())
    assert reindex(str(tmp_path)) == 1
    assert f"stray/run.json in {tmp_path}" in caplog.text
    assert sorted(store.keys(".index/")) == [next(store.keys(".index/snapshot/"))]


def test_a_record_in_the_index_that_is_none_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    indexed(store, packed(Piece((PUBLISHED, {"name": "stray", "published_at": WHEN}))))
    assert [run.name for run in indexed_records(store, Index(store))] == ["good"]
    assert "the record of stray in the index of" in caplog.text


@pytest.mark.parametrize("content", DAMAGED)
def test_a_list_of_runs_has_the_good_ones_and_names_what_is_none(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (("good", json.dumps(RECORD).encode()), ("stray", content)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(text)
    assert [line.split()[0] for line in list_runs(tmp_path).splitlines()] == ["name", "good"]
    assert "stray/run.json" in caplog.text


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_scores_are_named_and_the_run_is_listed(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good").mkdir()
    record = RECORD | {"status": "succeeded", "artifacts": {"evaluation": str(tmp_path / "good")}}
    (tmp_path / "good" / "run.json").write_text(json.dumps(record))
    (tmp_path / "good" / "scores.json").write_bytes(content)
    write_manifest(tmp_path / "good", producer="evaluate", settings={})
    assert "damaged" in list_runs(tmp_path).splitlines()[1]
    assert "scores.json" in caplog.text or "the scores of good" in caplog.text


OWNERS = [{"run": 1}] + [
    {"run": "x", "host": "y", "process": number, "beat": 1} for number in (-1, "1", 2**70)
]


@pytest.mark.parametrize("content", [*DAMAGED, *(json.dumps(owner).encode() for owner in OWNERS)])
def test_a_damaged_owner_that_stands_still_is_replaced(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    store.write(OWNER, content)
    lease = Lease(store, 0.02)
    lease.claim()
    try:
        assert lease.held()
        store.write(OWNER, content)
        assert lease.held(), "what is damaged names no other owner"
    finally:
        lease.release()
    assert f"{OWNER} in {tmp_path} names no owner" in caplog.text


def saved(store: LocalStore, folder: Path) -> None:
    """Mirror one small checkpoint of epoch 1."""
    write_checkpoint(folder / LAST, "1")
    lease = Lease(store, 10.0)
    lease.claim()
    with Mirror(store, lease, keep=2, ending=Ending(30.0, 30.0), pause_seconds=0.01) as mirror:
        mirror.submit(folder, ["last"], 1, 0)
    assert mirror.close().newest_is_complete, "a stray object stops no mirror"


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("name", ["notes.txt", "latest", "x-y.json", "000000-00000009.json"])
def test_strays_among_the_records_stop_neither_mirroring_nor_resuming(
    name: str, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path / "store")
    store.write(RECORDS + name, content)
    saved(store, tmp_path / "run")
    assert newest_position(store) == (1, 0)
    (tmp_path / "new").mkdir()
    assert fetch_newest(store, tmp_path / "new")
    assert (tmp_path / "new" / LAST / WEIGHTS).read_text() == "1"
    assert name in caplog.text
    assert store.exists(RECORDS + name), "it is somebody's, so it is left alone"


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_newest_record_gives_way_to_the_one_before(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path / "store")
    saved(store, tmp_path / "run")
    store.write(f"{RECORDS}000002-00000000.json", content)
    (tmp_path / "new").mkdir()
    assert fetch_newest(store, tmp_path / "new")
    assert "000002-00000000.json" in caplog.text


@pytest.mark.parametrize("content", DAMAGED[:-1])
def test_a_damaged_checkpoint_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_MANIFEST).write_bytes(content)
    assert position(tmp_path) is None


def test_a_living_owner_that_was_damaged_for_a_moment_is_not_robbed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    first = Lease(store, 0.05)
    first.claim()
    store.write(OWNER, b"{")
    try:
        with pytest.raises(CheckpointError, match="another run"):
            Lease(store, 0.5).claim()
    finally:
        first.release()
