"""What is damaged in a mirror, or here, costs an epoch at most and is named."""

import json
import shutil
from pathlib import Path

import pytest

from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS
from model_core.checkpoints.lease import OWNER, Lease
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.mirror import open_mirror
from model_core.checkpoints.records import fetch_newest, record_key
from model_core.deadlines import Ending
from tests.checkpoints.fakes import write_checkpoint
from tests.faults.flips import flip_a_bit, flipped
from tests.faults.mirror.faulty import (
    FEW,
    PERIOD,
    Faulty,
    blob_of,
    deliver,
    fetched_epoch,
    mirror_to,
)
from tests.training.tiny import train_tiny


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
