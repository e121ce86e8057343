"""Training for an object store goes on by the same command, from this machine's folder or from the copies there."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_core.artifacts import read_json
from model_core.store.locate import open_store
from tests.faults.steps import TINY
from tests.store.real import real_store

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.usefixtures("bucket", "preloaded")]
ROOT = Path(__file__).parents[2]
EPOCHS = 40


@pytest.fixture(name="bucket")
def _bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real store in this process's environment."""
    with real_store(tmp_path / "objects", "mlpipeline", monkeypatch):
        yield


@dataclass(frozen=True)
class Machine:
    """Where unfinished work is kept, in a folder of its own."""

    home: Path

    @property
    def state(self) -> Path:
        return self.home / "celestial-enhanced-pgat"

    def training(self, dataset: Path, model: str, *more: str) -> "subprocess.Popen[str]":
        settings = [f"training.train_epochs={EPOCHS}", *more]
        command = ["--config", TINY, "--dataset", str(dataset), "--model", f"s3://mlpipeline/{model}"]
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "components.train",
                *command,
                *(f"--set={setting}" for setting in settings),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | {"XDG_STATE_HOME": str(self.home)},
        )

    def stopped(self, dataset: Path, model: str, number: signal.Signals, code: int) -> None:
        with self.training(dataset, model) as child:
            assert child.stdout is not None
            try:
                assert any(line.startswith("epoch") and copied(model) for line in child.stdout)
                child.send_signal(number)
                assert child.wait(timeout=600) == code
            finally:
                child.kill()


def copied(model: str) -> bool:
    """Whether a whole checkpoint is in the store."""
    return any("/checkpoints/" in key for key in open_store("s3://mlpipeline").keys(f"{model}.work/"))


def told_by(child: "subprocess.Popen[str]") -> str:
    """What it says, which ends in order."""
    told, _ = child.communicate(timeout=900)
    assert child.returncode == 0, told
    return told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_training_for_a_store_goes_on_by_the_same_command_here_and_on_another_machine(
    number: signal.Signals, code: int, dataset: Path, tmp_path: Path
) -> None:
    """Both at once: after SIGKILL each waits until the lease of the dead run is over."""
    here, elsewhere = Machine(tmp_path / "here"), Machine(tmp_path / "elsewhere")
    going_on = {"stayed": here, "moved": elsewhere}
    for model in going_on:
        here.stopped(dataset, model, number, code)
    children = {model: machine.training(dataset, model) for model, machine in going_on.items()}
    for child in children.values():
        assert "going on from epoch" in told_by(child)
    store = open_store("s3://mlpipeline")
    for model in going_on:
        store.download(f"{model}/results.json", tmp_path / "results.json")
        results = read_json(tmp_path / "results.json")
        assert results["epochs_run"] == EPOCHS
        assert results["resumed_at"][0] >= 1  # type: ignore[index]
    assert list(store.keys()) == [*store.keys("moved/"), *store.keys("stayed/")]
    # What the other machine finished is still unfinished here.
    assert len(list(here.state.iterdir())) == 1
    assert not elsewhere.state.exists()


def test_other_settings_start_anew_beside_training_for_the_same_place(dataset: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "state")
    machine.stopped(dataset, "model", signal.SIGTERM, 143)
    told = told_by(machine.training(dataset, "model", "training.batch_size=8", "training.train_epochs=2"))
    assert "has other settings (training.batch_size); it stays there, and this one starts over" in told
    assert "going on from epoch" not in told
    assert "going on from epoch" in told_by(machine.training(dataset, "model"))
    assert not machine.state.exists()
