"""Checkpoints outlive a killed run in a real S3 server, also one that goes away for a while."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.checkpoints.mirror import open_mirror
from model_core.checkpoints.records import newest_position
from model_core.errors import CheckpointError, StoreError
from model_core.store.locate import open_store
from tests.checkpoints.test_mirror import wait_until
from tests.training.processes import HANGS_AFTER, attempt
from tests.training.test_exact_resume import EVERY_EPOCH, EVERY_STEP, what_is_left
from tests.training.tiny import train_tiny

pytestmark = [pytest.mark.s3, pytest.mark.slow]
URI = "s3://mlpipeline/runs/a/checkpoints"


def start_server(folder: Path, ports: list[int]) -> "subprocess.Popen[bytes]":
    """A SeaweedFS server with one bucket; ready when its S3 port answers."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None
    s3, master, volume, filer, admin = ports
    command = [program, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={s3}"]
    command += [
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        f"-admin.port={admin}",
    ]
    command += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.telemetry=false", "-bucket=mlpipeline"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + HANGS_AFTER
    while True:
        try:
            list(open_store("s3://mlpipeline").keys())
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return server


def free_ports() -> list[int]:
    """Five ports whose neighbours 10000 above are valid too: the server also listens there."""
    ports: list[int] = []
    while len(ports) < 5:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] % 20000 + 15000
            if port not in ports:
                ports.append(port)
    return ports


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[bytes]]":
    folder, ports = tmp_path / "server", free_ports()
    folder.mkdir()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "user",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}",
    }.items():
        monkeypatch.setenv(name, value)
    running = start_server(folder, ports)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.mark.usefixtures("server")
def test_a_killed_run_goes_on_bit_for_bit_from_s3(tmp_path: Path) -> None:
    """Killed in its second epoch, in a fresh container terminated in its third, in another one at its end."""
    assert attempt(tmp_path / "whole", EVERY_EPOCH) == 0
    assert attempt(tmp_path / "first", EVERY_EPOCH, "forward", 15, signal.SIGKILL, URI) == -signal.SIGKILL
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
    mirror = open_mirror(URI, tmp_path / "run", 2, 1.0, lease_period_seconds=0.5)
    with pytest.raises(CheckpointError, match="another run"):
        open_mirror(URI, tmp_path, 2, 1.0, lease_period_seconds=0.5)
    server.kill()
    server.wait()
    result = train_tiny(tmp_path / "run", EVERY_STEP, mirror=mirror).result
    wait_until(lambda: mirror.failures > 0)
    summary = mirror.close(0.5)
    assert result.stopped_because == "all epochs done"
    assert summary["newest_is_complete"] is False
    assert "could not be mirrored yet" in caplog.text
