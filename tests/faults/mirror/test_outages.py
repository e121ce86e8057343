"""An outage of a mirror is waited for, or is an error; it is never taken for damage."""

from pathlib import Path
from typing import Any

import pytest

from model_core.checkpoints import records
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, saved_info
from model_core.checkpoints.lease import OWNER
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.manager import CheckpointManager
from model_core.checkpoints.mirror import open_mirror
from model_core.checkpoints.records import BLOBS, RECORDS, fetch_newest, record_key
from model_core.deadlines import Ending
from model_core.errors import StoreError
from tests.checkpoints.fakes import write_checkpoint
from tests.faults.disk import fill, small_disk
from tests.faults.flips import flip_a_bit
from tests.faults.mirror.faulty import (
    FEW,
    PERIOD,
    Faulty,
    blob_of,
    deliver,
    failing,
    fetched_epoch,
    mirror_to,
)
from tests.training.tiny import train_tiny


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
    assert "the mirror was not searched for the best checkpoint: cannot reach" in caplog.text


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
