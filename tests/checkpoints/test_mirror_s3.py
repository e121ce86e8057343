"""Checkpoints outlive a killed run in a real S3 server, also one that goes away for a while."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.checkpoints.mirror import open_mirror
from model_core.checkpoints.records import newest_position
from model_core.deadlines import Ending
from model_core.errors import CheckpointError
from model_core.store.locate import open_store
from tests.checkpoints.test_mirror import wait_until
from tests.store.real import real_store
from tests.training.processes import attempt
from tests.training.test_exact_resume import EVERY_EPOCH, EVERY_STEP, what_is_left
from tests.training.tiny import train_tiny

pytestmark = [pytest.mark.s3, pytest.mark.slow]
URI = "s3://mlpipeline/runs/a/checkpoints"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[bytes]]":
    with real_store(tmp_path / "server", "mlpipeline", monkeypatch) as process:
        yield process


@pytest.mark.usefixtures("server")
def test_a_killed_run_goes_on_bit_for_bit_from_s3(tmp_path: Path) -> None:
    """Killed in its second epoch, in a fresh container terminated in its third, in another one at its end."""
    assert attempt(tmp_path / "whole", EVERY_EPOCH) == 0
    assert attempt(tmp_path / "first", EVERY_EPOCH, "forward", 17, signal.SIGKILL, URI) == -signal.SIGKILL
    assert newest_position(open_store(URI)) is not None
    shutil.rmtree(tmp_path / "first")
    assert attempt(tmp_path / "second", EVERY_EPOCH, "forward", 13, signal.SIGTERM, URI) == 143
    shutil.rmtree(tmp_path / "second")
    assert attempt(tmp_path / "third", EVERY_EPOCH, uri=URI) == 0
    assert what_is_left(tmp_path / "third") == what_is_left(tmp_path / "whole")


def test_a_second_run_is_refused_and_a_server_that_dies_while_training_is_reported(
    server: "subprocess.Popen[bytes]", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    mirror = open_mirror(URI, tmp_path / "run", 2, Ending(1.0, 1.0), lease_period_seconds=0.5)
    with pytest.raises(CheckpointError) as refusal:
        open_mirror(URI, tmp_path, 2, Ending(1.0, 1.0), lease_period_seconds=0.5)
    assert refusal.value.uri == URI
    server.kill()
    server.wait()
    result = train_tiny(tmp_path / "run", EVERY_STEP, mirror=mirror).result
    wait_until(lambda: mirror.failures > 0)
    summary = mirror.close()
    assert result.stopped_because == "all epochs done"
    assert summary.newest_is_complete is False
    assert "could not be mirrored yet" in caplog.text
