"""A mirror claims what it has looked at; its damage costs the next older checkpoint, its outage none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_core.checkpoints import mirror as mirror_module
from model_core.checkpoints import records
from model_core.checkpoints.control import MAX_BYTES
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, saved_info, verify_checkpoint
from model_core.checkpoints.lease import OWNER, Lease
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.manager import CheckpointManager
from model_core.checkpoints.mirror import Mirror, open_mirror
from model_core.checkpoints.records import BLOBS, RECORDS, fetch_newest, record_key
from model_core.deadlines import Ending
from model_core.errors import StoreError
from model_core.store.local import LocalStore
from tests.checkpoints.fakes import write_checkpoint
from tests.checkpoints.test_mirror import wait_until
from tests.faults.disk import fill, small_disk
from tests.faults.flips import flip_a_bit, flipped
from tests.training.tiny import SETTINGS, train_tiny

PERIOD = 0.05
FEW = SETTINGS.model_copy(update={"checkpoint_interval": 99})
Fault = Callable[[str], bool]


def never(key: str) -> bool:
    return False


class Faulty(LocalStore):
    """A folder as a store whose requests fail, or lose what they send, where a test says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.unreadable: Fault = never
        self.undeletable: Fault = never
        self.lossy: Fault = never
        self.garbled: list[str] = []
        """Keys whose next download arrives changed."""
        self.sent: list[str] = []

    def read(self, key: str, max_bytes: int = MAX_BYTES) -> bytes:
        self._fail(self.unreadable(key), key)
        return super().read(key, max_bytes)

    def download(self, key: str, file: Path) -> None:
        self._fail(self.unreadable(key), key)
        super().download(key, file)
        if key in self.garbled:
            self.garbled.remove(key)
            flip_a_bit(file)

    def delete(self, key: str) -> None:
        self._fail(self.undeletable(key), key)
        super().delete(key)

    def upload(self, key: str, file: Path) -> None:
        self.sent.append(key)
        if not self.lossy(key):
            super().upload(key, file)

    def _fail(self, fails: bool, key: str) -> None:
        if fails:
            raise StoreError(f"cannot reach {key} in {self.uri}: 503 SlowDown; check the network")


def failing(times: int, wanted: str) -> Fault:
    """Fails the first ``times`` requests for keys that begin with ``wanted``."""
    left = iter(range(times))
    return lambda key: key.startswith(wanted) and next(left, None) is not None


@pytest.fixture
def store(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path / "store")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, store: Faulty) -> None:
    """Nobody waits before asking again, and every URI leads to the faulty store."""
    monkeypatch.setattr(records, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(mirror_module, "open_store", lambda uri: store)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run whose best epoch stays the first."""
    write_checkpoint(tmp_path / "run" / BEST, "best", 1)
    return tmp_path / "run"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """The folder of a run on a fresh machine."""
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def mirror_to(store: Faulty, keep: int = 3, patience: float = 30.0) -> Mirror:
    lease = Lease(store, PERIOD)
    lease.claim()
    return Mirror(store, lease, keep, Ending(patience, patience), pause_seconds=0.01)


def deliver(mirror: Mirror, run: Path, *epochs: int) -> None:
    """Mirror the checkpoints of epochs, each whole before the next."""
    for epoch in epochs:
        write_checkpoint(run / LAST, f"epoch {epoch}", epoch)
        mirror.submit(run, [BEST, LAST, "steps.jsonl"], epoch, 0)
        wanted = mirror.checkpoints + 1
        wait_until(lambda wanted=wanted: mirror.checkpoints == wanted)  # type: ignore[misc]


@pytest.fixture
def filled(store: Faulty, run: Path) -> Faulty:
    """A store with three checkpoints."""
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1, 2, 3)
    return store


def blob_of(store: Faulty, epoch: int, name: str) -> str:
    record = json.loads(LocalStore.read(store, record_key(epoch, 0)))
    return BLOBS + str(record["files"][name]["sha256"])


def fetched_epoch(folder: Path) -> int:
    verify_checkpoint(folder / LAST)
    return saved_info(folder / LAST).epoch


# --- what is claimed -----------------------------------------------------------------------------------


def test_files_that_were_deleted_meanwhile_are_sent_again(store: Faulty, run: Path, new: Path) -> None:
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1)
        for key in list(store.keys(BLOBS)):
            store.delete(key)
        deliver(mirror, run, 2)
        assert mirror.close().newest_is_complete is True
    fetch_newest(store, new)
    assert fetched_epoch(new) == 2
    verify_checkpoint(new / BEST)


def test_a_file_that_is_there_is_not_sent_again(store: Faulty, run: Path) -> None:
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1, 2)
    assert len(store.sent) == len(set(store.sent))


def test_a_file_of_another_size_is_sent_again(store: Faulty, run: Path) -> None:
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1)
        weights = blob_of(store, 1, f"{BEST}/{WEIGHTS}")
        store.write(weights, b"be")
        deliver(mirror, run, 2)
    assert store.read(weights) == b"best"


def test_a_store_that_loses_what_it_is_sent_never_holds_a_complete_checkpoint(
    store: Faulty, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.lossy = lambda key: True
    mirror = mirror_to(store, patience=0.1)
    write_checkpoint(run / LAST, "epoch 1")
    mirror.submit(run, [BEST, LAST], 1, 0)
    wait_until(lambda: mirror.failures > 1)
    assert mirror.close().newest_is_complete is False
    assert list(store.keys(RECORDS)) == []
    assert "are not in" in caplog.text


def test_a_file_that_is_gone_at_the_end_makes_the_claim_false(
    store: Faulty, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = mirror_to(store)
    deliver(mirror, run, 1)
    store.delete(blob_of(store, 1, f"{LAST}/{WEIGHTS}"))
    assert mirror.close().newest_is_complete is False
    assert "is not whole any more: 1 of its files are gone" in caplog.text


@pytest.mark.parametrize("key", [record_key(0, 9), record_key(2, 0), record_key(999_999, 0)])
def test_a_damaged_record_of_any_age_costs_no_good_one(
    key: str, store: Faulty, run: Path, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(key, b"{")
    with mirror_to(store, keep=1) as mirror:
        deliver(mirror, run, 1, 3)
        assert mirror.close().newest_is_complete is True
    fetch_newest(store, new)
    assert fetched_epoch(new) == 3
    assert key in caplog.text or not store.exists(key)


def test_a_checkpoint_is_complete_although_older_ones_cannot_be_deleted(
    store: Faulty, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.undeletable = lambda key: key != OWNER
    with mirror_to(store, keep=1) as mirror:
        deliver(mirror, run, 1, 2)
        summary = mirror.close()
    assert summary.newest_is_complete is True
    assert summary.failed_attempts == 0
    assert "older checkpoints stay in" in caplog.text


def test_a_run_that_goes_on_brings_to_its_mirror_what_that_lacks(store: Faulty, tmp_path: Path) -> None:
    train_tiny(tmp_path / "run")
    mirror = open_mirror("any", tmp_path / "run", 2, Ending(30.0, 30.0), PERIOD)
    train_tiny(tmp_path / "run", mirror=mirror)
    assert mirror.close().newest_is_complete is True
    (tmp_path / "new").mkdir()
    fetch_newest(store, tmp_path / "new")
    assert fetched_epoch(tmp_path / "new") == SETTINGS.train_epochs


# --- damage --------------------------------------------------------------------------------------------


def test_a_lost_or_changed_file_of_last_costs_an_epoch_and_is_named(
    filled: Faulty, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled.delete(blob_of(filled, 3, f"{LAST}/{WEIGHTS}"))
    filled.write(blob_of(filled, 2, f"{LAST}/{WEIGHTS}"), b"Epoch 2")
    fetch_newest(filled, new)
    assert fetched_epoch(new) == 1
    assert f"{record_key(3, 0)} in {filled.uri} is damaged (last/{WEIGHTS}: it is gone from" in caplog.text
    assert f"{record_key(2, 0)} in {filled.uri} is damaged (last/{WEIGHTS}: it was changed" in caplog.text


def test_a_lost_log_costs_no_epoch(
    store: Faulty, run: Path, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "steps.jsonl").write_text("{}\n")
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1, 2)
    store.delete(blob_of(store, 2, "steps.jsonl"))
    fetch_newest(store, new)
    assert fetched_epoch(new) == 2
    assert "steps.jsonl of" in caplog.text
    assert "is left out: it is gone from the store" in caplog.text


def test_a_newer_local_checkpoint_is_not_replaced_by_what_is_behind_a_damaged_record(
    filled: Faulty, new: Path
) -> None:
    filled.delete(blob_of(filled, 3, f"{LAST}/{CHECKPOINT_MANIFEST}"))
    write_checkpoint(new / LAST, "ours", 2, 5)
    open_mirror("any", new, 3, Ending(0.1, 0.1), PERIOD).close()
    assert (new / LAST / WEIGHTS).read_text() == "ours"


def test_damage_here_is_repaired_from_the_mirror(
    filled: Faulty, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_checkpoint(new / LAST, "ours", 4)
    flip_a_bit(new / LAST / WEIGHTS)
    open_mirror("any", new, 3, Ending(0.1, 0.1), PERIOD).close()
    assert fetched_epoch(new) == 3


@pytest.fixture
def trained(store: Faulty, tmp_path: Path) -> Path:
    """A run of three epochs, the second the best, that kept no state of it; all is mirrored."""
    with open_mirror("any", tmp_path / "run", 9, Ending(30.0, 30.0), PERIOD) as mirror:
        assert train_tiny(tmp_path / "run", FEW, mirror=mirror).result.best_epoch == 2
    return tmp_path / "run"


def test_a_damaged_best_is_fetched_again(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = (trained / BEST / WEIGHTS).read_bytes()
    flip_a_bit(trained / BEST / WEIGHTS)
    with open_mirror("any", trained, 9, Ending(30.0, 30.0), PERIOD) as mirror:
        assert train_tiny(trained, FEW, mirror=mirror).result.best_epoch == 2
    assert (trained / BEST / WEIGHTS).read_bytes() == whole
    assert "is damaged or missing; fetched again from the mirror" in caplog.text


def test_each_flipped_bit_of_a_record_is_harmless_or_costs_an_epoch(filled: Faulty, new: Path) -> None:
    found = set()
    for content in flipped(filled.read(record_key(3, 0)), 150):
        filled.write(record_key(3, 0), content)
        shutil.rmtree(new)
        new.mkdir()
        assert fetch_newest(filled, new)
        found.add(fetched_epoch(new))
    assert found == {2, 3}


def test_each_flipped_bit_of_the_owner_blocks_nobody(store: Faulty) -> None:
    owner = json.dumps({"run": "x", "host": "elsewhere", "process": 1, "beat": 7}).encode()
    for content in flipped(owner, 40):
        store.write(OWNER, content)
        lease = Lease(store, 0.01)
        lease.claim()
        assert lease.held()
        store.write(OWNER, content)
        lease.release()
        store.delete(OWNER)


# --- outage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [RECORDS, BLOBS])
def test_an_outage_that_passes_costs_nothing(
    wanted: str, filled: Faulty, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled.unreadable = failing(3, wanted)
    fetch_newest(filled, new)
    assert fetched_epoch(new) == 3
    assert caplog.text.count("asking again") == 3
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("wanted", [RECORDS, BLOBS])
def test_an_outage_that_lasts_is_an_error_and_no_older_checkpoint_is_taken(
    wanted: str, filled: Faulty, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newest = record_key(3, 0) if wanted == RECORDS else blob_of(filled, 3, f"{LAST}/{WEIGHTS}")
    filled.unreadable = lambda key: key == newest
    with pytest.raises(StoreError, match="503") as caught:
        open_mirror("any", new, 3, Ending(30.0, 30.0), PERIOD)
    assert caught.value.exit_code == 2
    assert list(new.iterdir()) == []
    assert "damaged" not in caplog.text
    assert not filled.exists(OWNER)


def test_what_was_changed_on_its_way_is_fetched_once_more(filled: Faulty, new: Path) -> None:
    filled.garbled = [blob_of(filled, 3, f"{LAST}/{name}") for name in (WEIGHTS, CHECKPOINT_MANIFEST)]
    fetch_newest(filled, new)
    assert fetched_epoch(new) == 3


def test_an_outage_while_a_damaged_best_is_looked_for_is_an_error_at_the_start(
    store: Faulty, trained: Path
) -> None:
    flip_a_bit(trained / BEST / WEIGHTS)
    with open_mirror("any", trained, 9, Ending(30.0, 30.0), PERIOD) as mirror:
        store.unreadable = lambda key: key.startswith(BLOBS)
        with pytest.raises(StoreError, match="503"):
            train_tiny(trained, FEW, mirror=mirror)


def test_the_same_outage_at_the_end_costs_no_model(
    store: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: CheckpointManager, state: Any) -> None:
        flip_a_bit(tmp_path / "run" / BEST / WEIGHTS)
        store.unreadable = lambda key: key.startswith(BLOBS)
        finish(self, state)

    finish = CheckpointManager.finish
    monkeypatch.setattr(CheckpointManager, "finish", broken)
    with open_mirror("any", tmp_path / "run", 9, Ending(30.0, 30.0), PERIOD) as mirror:
        result = train_tiny(tmp_path / "run", FEW, mirror=mirror).result
    assert result.best_epoch == 3
    assert saved_info(tmp_path / "run" / BEST).epoch == 3
    assert "the mirror was not asked for the best checkpoint: cannot reach" in caplog.text


def test_a_checkpoint_that_a_full_disk_keeps_from_being_set_aside_is_said_and_the_next_one_is_whole(
    store: Faulty, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        write_checkpoint(disk / LAST, "epoch 1")
        (disk / "steps.jsonl").write_text("{}\n" * 100)
        with mirror_to(store) as mirror:
            ballast = fill(disk)
            before = sorted(disk.iterdir())
            mirror.submit(disk, [LAST, "steps.jsonl"], 1, 0)
            assert f"a checkpoint cannot be set aside for {store.uri}" in caplog.text
            assert sorted(disk.iterdir()) == before
            ballast.unlink()
            mirror.submit(disk, [LAST, "steps.jsonl"], 1, 1)
            assert mirror.close().newest_is_complete is True
    assert records.newest_position(store) == (1, 1)


def test_a_last_checkpoint_that_could_not_be_set_aside_is_not_called_complete(
    store: Faulty, run: Path
) -> None:
    write_checkpoint(run / LAST, "epoch 1")
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1)
        mirror.submit(run / "gone", [LAST], 2, 0)
        assert mirror.close().newest_is_complete is False
