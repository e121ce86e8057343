"""Training for an object store goes on by the same command, from this machine's folder or from the copies there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.artifacts import read_json
from model_core.store.locate import open_store
from tests.faults.steps import TINY
from tests.store.real import real_store

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.usefixtures("bucket", "preloaded")]
ROOT = Path(__file__).parents[2]
EPOCHS = 40


@pytest.fixture(name="state")
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where unfinished work is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "celestial-enhanced-pgat"


@pytest.fixture(name="bucket")
def _bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real store in this process's environment."""
    with real_store(tmp_path / "objects", "mlpipeline", monkeypatch):
        yield


def training(dataset: Path, *more: str) -> "subprocess.Popen[str]":
    settings = [f"training.train_epochs={EPOCHS}", *more]
    command = ["--config", TINY, "--dataset", str(dataset), "--model", "s3://mlpipeline/model"]
    return subprocess.Popen(
        [sys.executable, "-m", "components.train", *command, *(f"--set={setting}" for setting in settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def copied() -> bool:
    """Whether a whole checkpoint is in the store."""
    return any("/checkpoints/" in key for key in open_store("s3://mlpipeline").keys("model.work/"))


def stopped(dataset: Path, number: signal.Signals, code: int) -> None:
    with training(dataset) as child:
        assert child.stdout is not None
        try:
            assert any(line.startswith("epoch") and copied() for line in child.stdout)
            child.send_signal(number)
            assert child.wait(timeout=600) == code
        finally:
            child.kill()


def ended(dataset: Path, *more: str) -> str:
    child = training(dataset, *more)
    told, _ = child.communicate(timeout=900)
    assert child.returncode == 0, told
    return told


@pytest.mark.parametrize("machine", ["same", "other"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_training_for_a_store_goes_on_by_the_same_command_here_and_on_another_machine(
    number: signal.Signals,
    code: int,
    machine: str,
    dataset: Path,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped(dataset, number, code)
    store = open_store("s3://mlpipeline")
    if machine == "other":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert "going on from epoch" in ended(dataset)
    store.download("model/results.json", tmp_path / "results.json")
    results = read_json(tmp_path / "results.json")
    assert results["epochs_run"] == EPOCHS
    assert results["resumed_at"][0] >= 1  # type: ignore[index]
    assert list(store.keys()) == list(store.keys("model/"))
    assert state.exists() is (machine == "other")


def test_other_settings_start_anew_beside_training_for_the_same_place(dataset: Path, state: Path) -> None:
    stopped(dataset, signal.SIGTERM, 143)
    told = ended(dataset, "training.batch_size=8", "training.train_epochs=2")
    assert "has other settings (training.batch_size); it stays there, and this one starts over" in told
    assert "going on from epoch" not in told
    assert "going on from epoch" in ended(dataset)
    assert not state.exists()
