"""A run that was stopped goes on from the epoch that it had saved, by the same command, whatever starts its steps."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_core.artifacts import read_json
from pipelines.runs import find_run

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.usefixtures("preloaded")]
ROOT = Path(__file__).parent.parent.parent
TINY = ["--config", str(Path(__file__).parent / "tiny.yaml"), "--source", "sample://synthetic"]
EPOCHS = 16
"""Two to be stopped in, and enough after them that the signal arrives before the end on a busy machine."""
ENGINE = """import os, sys
match sys.argv[1]:
    case "image":
        print("sha256:0")
    case "run":
        options = [word for word in sys.argv[2:] if word.startswith("--")]
        for pair in (word.removeprefix("--env=") for word in options if word.startswith("--env=")):
            name, separator, value = pair.partition("=")
            if separator:
                os.environ[name] = value
        (entry,) = [word for word in options if word.startswith("--entrypoint=")]
        words = [entry.removeprefix("--entrypoint="), *sys.argv[sys.argv.index(entry) + 2 :]]
        os.environ["PATH"] = "{bin}:" + os.environ["PATH"]
        os.environ["PYTHONPATH"] = "{root}"
        os.execvp(words[0], words)
"""
"""Stands in for a container engine: it starts what it is told to, with the environment that it is told to give."""


@pytest.fixture(name="engine")
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, path = tmp_path / "engine.py", tmp_path / "podman"
    code.write_text(ENGINE.format(bin=Path(sys.executable).parent, root=ROOT), encoding="utf-8")
    # Not a program of Python itself: the first line of one can name no interpreter whose path has a blank.
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{code}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("ENGINE", str(path))


def begun(runs: Path, *more: str) -> "subprocess.Popen[str]":
    words = ["--runs", str(runs), "--name", "x", "--set", f"training.train_epochs={EPOCHS}", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", *TINY, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def stopped(runs: Path, number: signal.Signals, *more: str) -> None:
    """Start a run, and stop it in its third epoch."""
    with begun(runs, *more) as child:
        assert child.stdout is not None
        try:
            assert any(line.startswith("epoch 2") for line in child.stdout)
            child.send_signal(number)
            assert child.wait(timeout=600) == (-9 if number is signal.SIGKILL else 128 + number)
        finally:
            child.kill()


def ended(runs: Path, *more: str) -> str:
    """What the same command says, which ends."""
    child = begun(runs, *more)
    told, _ = child.communicate(timeout=900)
    assert child.returncode == 0, told
    return told


def resumed_at(runs: Path, told: str) -> int:
    """The epoch from which a run went on whose history is whole all the same."""
    model = find_run(runs, "x").artifact(runs, "model")
    assert model is not None
    results = read_json(model / "results.json")
    assert results["epochs_run"] == results["last_epoch"] == EPOCHS
    (said,) = re.findall(r"going on from epoch (\d+), step \d+", told)
    assert int(said) == results["resumed_at"][0]  # type: ignore[index]
    return int(said)


@pytest.mark.parametrize(("runner", "number"), [("process", signal.SIGTERM), ("docker", signal.SIGKILL)])
@pytest.mark.usefixtures("engine")
def test_the_same_command_goes_on_from_the_saved_epoch(
    runner: str, number: signal.Signals, tmp_path: Path
) -> None:
    """After SIGKILL at once, when the step of the dead run may still be saving its work."""
    runs = tmp_path / "runs"
    stopped(runs, number, "--runner", runner)
    assert (runs / "x" / "checkpoints").is_dir()
    assert resumed_at(runs, ended(runs, "--runner", runner)) >= 2
    assert not (runs / "x" / "checkpoints").exists()


def test_other_settings_start_anew_in_one_sentence_and_lose_nothing_of_the_first(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    stopped(runs, signal.SIGTERM)
    (first,) = (runs / "x" / "checkpoints").iterdir()
    told = ended(runs, "--set", "training.batch_size=8")
    assert told.count("starts over") == 1
    said = f"the unfinished training in {first} has other settings (training.batch_size); it stays there, and"
    assert said in told
    assert "going on from epoch" not in told
    assert f"unfinished training with other settings or data stays in {first}" in told
    assert list((runs / "x" / "checkpoints").iterdir()) == [first]
    assert resumed_at(runs, ended(runs)) >= 2


def test_a_run_that_fails_after_training_keeps_the_checkpoints_until_it_has_succeeded(tmp_path: Path) -> None:
    """Whatever happens to the trained model meanwhile, it is not trained again."""
    runs = tmp_path / "runs"
    child = begun(runs, "--set", "evaluation.seasonal_period=290")
    told, _ = child.communicate(timeout=900)
    assert child.returncode == 2, told
    (model,) = (runs / "x").glob("*/train/model")
    (model / "results.json").write_text("{}", encoding="utf-8")
    told = ended(runs)
    assert f"made again: {model / 'results.json'} was changed" in told
    assert resumed_at(runs, told) == EPOCHS
    assert not (runs / "x" / "checkpoints").exists()
