"""What the processes of a training run listen on, and what they take from each other."""

import json
import socket
import stat
from pathlib import Path

import psutil
import pytest
import torch

from model_core.distributed import _packed, _unpacked
from tests.training.launched import REPOSITORY, a_launcher, eventually
from tests.training.prepared import write_tiny_dataset


def addresses(process: psutil.Process) -> set[str]:
    """Where the process listens on the network."""
    return {
        connection.laddr.ip
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


@pytest.mark.slow
def test_two_training_processes_and_their_launcher_listen_on_the_loopback_interface_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    dataset = write_tiny_dataset(tmp_path / "dataset")
    with a_launcher(dataset, tmp_path / "model", epochs=10_000) as launcher:
        eventually(lambda: (tmp_path / ".model-training" / "last").exists())
        team = psutil.Process(launcher.pid).children(recursive=True)
        workers = [each for each in team if "components.train.worker" in each.cmdline()]
        heard = {ip for each in [psutil.Process(launcher.pid), *team] for ip in addresses(each)}
        folders = {json.loads(Path(each.cmdline()[-1]).read_text())["failure"] for each in workers}
        modes = {stat.S_IMODE(Path(folder).parent.stat().st_mode) for folder in folders}
    assert len(workers) >= 3, "torchrun and two processes"
    assert heard <= {"127.0.0.1", "::1"}
    assert modes == {0o700}


def test_what_one_process_sends_another_holds_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        _unpacked(_packed({"random": Trap()}))
    assert not (tmp_path / "ran").exists()
    sent = {"state": (torch.arange(3), [1, None, "a"])}
    assert str(_unpacked(_packed(sent))) == str(sent)
