"""Checkpoints in a store: complete or not listed, never in training's way, one run at a time."""

import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_core.checkpoints.files import WEIGHTS
from model_core.checkpoints.lease import OWNER, Lease
from model_core.checkpoints.local import LAST
from model_core.checkpoints.mirror import Mirror, open_mirror
from model_core.checkpoints.records import BLOBS, RECORDS, fetch_newest, newest_position
from model_core.deadlines import Ending
from model_core.errors import CheckpointError, StoreError
from model_core.store.base import READ_BYTES
from model_core.store.local import LocalStore
from tests.checkpoints.fakes import write_checkpoint
from tests.training.processes import HANGS_AFTER, attempt
from tests.training.test_exact_resume import EVERY_EPOCH, EVERY_STEP, what_is_left
from tests.training.tiny import SETTINGS, train_tiny

PERIOD = 0.1


class Unreliable(LocalStore):
    """A local folder that fails or waits before it writes, as long as it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()

    def upload(self, key: str, file: Path) -> None:
        self.gate.wait(HANGS_AFTER)
        if self.failures > 0:
            self.failures -= 1
            raise StoreError("cannot write: 503 SlowDown")
        super().upload(key, file)


def mirror_of(store: LocalStore, keep: int = 3, patience: float = HANGS_AFTER) -> Mirror:
    lease = Lease(store, PERIOD)
    lease.claim()
    return Mirror(store, lease, keep, Ending(patience, patience), pause_seconds=0.01)


def checkpoint(folder: Path, text: str) -> Path:
    write_checkpoint(folder / LAST, text)
    return folder


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fetched(store: LocalStore, folder: Path) -> str:
    folder.mkdir()
    fetch_newest(store, folder)
    return (folder / LAST / WEIGHTS).read_text()


def test_the_newest_complete_checkpoint_comes_back_on_another_machine(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with mirror_of(store) as mirror:
        for epoch in range(1, 4):
            mirror.submit(checkpoint(tmp_path / "run", f"epoch {epoch}"), ["last"], epoch, 0)
            wait_until(lambda wanted=epoch: mirror.checkpoints == wanted)  # type: ignore[misc]
    # A process killed while it uploads leaves blobs, and no record.
    store.write(f"{BLOBS}half", b"half a file")
    assert newest_position(store) == (3, 0)
    assert fetched(store, tmp_path / "there") == "epoch 3"


def test_a_damaged_blob_falls_back_to_the_checkpoint_before(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with mirror_of(store) as mirror:
        for epoch in (1, 2):
            mirror.submit(checkpoint(tmp_path / "run", f"epoch {epoch}"), ["last"], epoch, 0)
            wait_until(lambda wanted=epoch: mirror.checkpoints == wanted)  # type: ignore[misc]
    newest = json.loads(store.read(sorted(store.keys(RECORDS))[-1]))
    store.write(BLOBS + newest["files"][f"{LAST}/{WEIGHTS}"]["sha256"], b"rubbish")
    assert fetched(store, tmp_path / "there") == "epoch 1"


def test_a_store_whose_checkpoints_are_all_damaged_does_not_start_training_anew(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.write(f"{RECORDS}000001-00000000.json", b"{")
    with pytest.raises(CheckpointError) as refusal:
        open_mirror(store.uri, tmp_path, 3, Ending(5.0, 5.0), PERIOD)
    assert (refusal.value.uri, refusal.value.path) == (store.uri, None)
    assert not store.exists(OWNER)


def test_pruning_keeps_the_newest_records_and_only_their_blobs(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with mirror_of(store, keep=2) as mirror:
        for epoch in range(1, 6):
            mirror.submit(checkpoint(tmp_path / "run", f"epoch {epoch}"), ["last"], epoch, 0)
            wait_until(lambda wanted=epoch: mirror.checkpoints == wanted)  # type: ignore[misc]
    assert list(store.keys(RECORDS)) == [f"{RECORDS}{epoch:06d}-00000000.json" for epoch in (4, 5)]
    # The settings and the manifest of both checkpoints, and two weights.
    assert len(list(store.keys(BLOBS))) == 5


def test_a_store_that_refuses_is_tried_again_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Unreliable(tmp_path / "store")
    store.failures = 4
    with mirror_of(store) as mirror:
        mirror.submit(checkpoint(tmp_path / "run", "epoch 1"), ["last"], 1, 0)
        summary = mirror.close()
    assert summary.failed_attempts == 4
    assert summary.newest_is_complete is True
    assert "could not be mirrored yet (attempt 4)" in caplog.text
    assert fetched(store, tmp_path / "there") == "epoch 1"


def test_a_store_that_stays_down_never_kills_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Unreliable(tmp_path / "store")
    store.failures = 10**9
    mirror = mirror_of(store, patience=0.1)
    result = train_tiny(tmp_path / "run", mirror=mirror).result
    summary = mirror.close()
    assert result.stopped_because == "all epochs done"
    assert summary.newest_is_complete is False
    assert "waiting at most 0 s for the newest checkpoint to reach" in caplog.text
    assert "is in the local folder only" in caplog.text


def test_training_does_not_wait_for_a_store_that_hangs_and_the_newest_checkpoint_wins(tmp_path: Path) -> None:
    store = Unreliable(tmp_path / "store")
    store.gate.clear()
    mirror = mirror_of(store)
    train_tiny(
        tmp_path / "run", SETTINGS.model_copy(update={"checkpoint_interval_minutes": 0.0}), mirror=mirror
    )
    assert mirror.checkpoints == 0
    store.gate.set()
    assert mirror.close().newest_is_complete is True
    assert newest_position(store) == (3, 0)
    # 15 were handed over: the one that hung and the newest; the others were replaced while waiting.
    assert mirror.checkpoints <= 2
    assert not list((tmp_path / "run").glob(".mirror-*"))


def test_a_killed_run_goes_on_bit_for_bit_in_a_fresh_container(tmp_path: Path) -> None:
    assert attempt(tmp_path / "whole", EVERY_EPOCH) == 0
    uri = str(tmp_path / "store")
    assert attempt(tmp_path / "first", EVERY_EPOCH, "forward", 26, signal.SIGKILL, uri) == -signal.SIGKILL
    assert newest_position(LocalStore(tmp_path / "store")) is not None
    shutil.rmtree(tmp_path / "first")
    assert attempt(tmp_path / "second", EVERY_EPOCH, uri=uri) == 0
    assert what_is_left(tmp_path / "second") == what_is_left(tmp_path / "whole")


def test_sigterm_leaves_the_step_in_progress_in_the_store(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    assert attempt(tmp_path / "run", EVERY_STEP, "forward", 15, signal.SIGTERM, uri) == 143
    assert newest_position(LocalStore(tmp_path / "store")) == (1, 2)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[LocalStore, Lease]]:
    store = LocalStore(tmp_path / "store")
    lease = Lease(store, PERIOD)
    lease.claim()
    yield store, lease
    lease.release()


def test_a_second_run_on_the_same_place_is_refused_while_the_first_is_alive(
    held: tuple[LocalStore, Lease], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"process \d+ on ") as refusal:
        open_mirror(held[0].uri, tmp_path, 3, Ending(5.0, 5.0), PERIOD)
    assert refusal.value.uri == held[0].uri


def test_an_owner_that_leaves_while_it_is_looked_at_stops_nobody(tmp_path: Path) -> None:
    class Leaving(LocalStore):
        def read(self, key: str, max_bytes: int = READ_BYTES) -> bytes:
            self.delete(key)
            return super().read(key, max_bytes)

    store = Leaving(tmp_path / "store")
    store.write(OWNER, b"{}")
    lease = Lease(store, 60.0)
    lease.claim()
    lease.release()


def test_a_living_owner_whose_process_has_a_number_that_is_free_here_is_not_robbed(tmp_path: Path) -> None:
    """A pod has a host name and process numbers of its own, and another pod may have the same name."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store = LocalStore(tmp_path / "store")
    owner = {"run": "x", "host": socket.gethostname(), "process": gone.pid}
    stop = threading.Event()

    def live() -> None:
        beat = 0
        while not stop.wait(PERIOD / 10):
            beat += 1
            store.write(OWNER, json.dumps(owner | {"beat": beat}).encode())

    store.write(OWNER, json.dumps(owner | {"beat": 0}).encode())
    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(CheckpointError, match=f"another run .process {gone.pid} on "):
            Lease(store, PERIOD).claim()
    finally:
        stop.set()
        thread.join()


def test_the_place_of_a_run_that_died_elsewhere_is_taken_over(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.write(OWNER, json.dumps({"run": "x", "host": "elsewhere", "process": 1, "beat": 7}).encode())
    lease = Lease(store, PERIOD)
    lease.claim()
    assert lease.held()
    lease.release()
    assert not store.exists(OWNER)


def test_a_run_whose_place_was_taken_stops_mirroring_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    store = LocalStore(tmp_path / "store")
    mirror = mirror_of(store)
    store.write(OWNER, json.dumps({"run": "x", "host": "elsewhere", "process": 1, "beat": 7}).encode())
    mirror.submit(checkpoint(tmp_path / "run", "epoch 1"), ["last"], 1, 0)
    mirror.close()
    assert "took over" in caplog.text
    assert newest_position(store) is None
    assert store.exists(OWNER)
