"""A mirror says that a checkpoint is complete only where it is."""

from pathlib import Path

import pytest

from model_core.checkpoints.files import WEIGHTS, verify_checkpoint
from model_core.checkpoints.lease import OWNER
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.mirror import open_mirror
from model_core.checkpoints.records import BLOBS, RECORDS, fetch_newest, record_key
from model_core.deadlines import Ending
from tests.checkpoints.fakes import write_checkpoint
from tests.checkpoints.test_mirror import wait_until
from tests.faults.mirror.faulty import PERIOD, Faulty, blob_of, deliver, fetched_epoch, mirror_to
from tests.training.tiny import SETTINGS, train_tiny


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
    assert "is no longer intact: 1 of its files are gone" in caplog.text


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
