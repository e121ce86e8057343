"""Damage, twins, kills and signals, through the command that a user types."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from model_core.artifacts import read_json
from pipelines.__main__ import main
from pipelines.runs import find_run, read_scores, score_table
from tests.starting.stand_in import REAL_PYTHON

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.usefixtures("preloaded")]
ROOT = Path(__file__).parent.parent.parent
TINY = ["--config", str(Path(__file__).parent / "tiny.yaml"), "--source", "sample://synthetic"]


def run(runs: Path, *more: str) -> int:
    return main(["run", *TINY, "--runs", str(runs), *more])


def artifacts(runs: Path, name: str) -> dict[str, Path]:
    record = find_run(runs, name)
    found = {kind: record.artifact(runs, kind) for kind in record.artifacts}
    return {kind: path for kind, path in found.items() if path is not None}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole run, ``first``."""
    folder = tmp_path_factory.mktemp("faults") / "runs"
    assert run(folder, "--name", "first") == 0
    return folder


def test_damaged_outputs_are_named_and_made_again_and_the_numbers_stay_right(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(kind: str, file: str, damage: Callable[[bytes], bytes]) -> tuple[str, list[str]]:
        """What the same command says of the damage, and which steps it ran."""
        path = artifacts(runs, "first")[kind] / file if file else artifacts(runs, "first")[kind]
        path.write_bytes(damage(path.read_bytes()))
        capsys.readouterr()
        assert run(runs, "--name", "first") == 0
        told = capsys.readouterr().out
        (named,) = re.findall(r"^made again: (\S+)", told, re.MULTILINE)
        assert named == str(path)
        record = read_json(runs / "first" / "run.json")
        assert record["status"] == "succeeded"
        page = (runs / "first" / "report.html").read_text(encoding="utf-8")
        assert page == artifacts(runs, "first")["report"].read_text(encoding="utf-8")
        assert page.rstrip().endswith("</html>")
        return told, list(record["step_seconds"])  # type: ignore[call-overload]

    right = score_table(read_scores(artifacts(runs, "first")["evaluation"]))
    assert damaged("report", "", _half)[1] == ["report"]
    told, steps = damaged("evaluation", "scores.json", _better)
    assert right in told
    assert steps == ["evaluate", "report"]
    told, steps = damaged("model", "best/model.safetensors", _flipped)
    assert right in told
    assert set(steps) == {"train", "evaluate", "diagnose", "report"}


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _better(content: bytes) -> bytes:
    return content.replace(b'"mae": 0.', b'"mae": 0.0')


def _flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    return bytes(changed)


def test_the_scores_of_a_finished_run_are_shown_only_while_they_are_what_the_step_left(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "first", tmp_path / "first")
    scores = artifacts(tmp_path, "first")["evaluation"] / "scores.json"
    scores.write_bytes(_better(scores.read_bytes()))
    assert main(["runs", "list", "--runs", str(tmp_path)]) == 0
    assert "damaged" in capsys.readouterr().out
    assert main(["runs", "show", "first", "--runs", str(tmp_path)]) == 2
    assert f"{scores} is not what the run first left" in capsys.readouterr().err


@pytest.fixture(name="training")
def _training(runs: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a long run, whose pid and children are looked at, and come back while it trains."""
    begun = []

    def start(name: str) -> subprocess.Popen[str]:
        long = ["--runs", str(runs), "--name", name, "--set", "training.train_epochs=5000"]
        child = subprocess.Popen(
            [REAL_PYTHON, "-m", "pipelines", "run", *TINY, *long],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        begun.append(child)
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("epoch 1"):
                return child
        raise AssertionError(child.communicate())

    yield start
    for child in begun:
        child.kill()
        child.communicate()


def test_a_killed_run_takes_its_step_along_and_reads_as_interrupted_and_a_twin_is_refused(
    runs: Path, training: Callable[[str], subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The name has succeeded before: neither the twin nor the killed rerun may pass for that."""
    assert run(runs, "--name", "again") == 0
    child = training("again")
    log = (runs / "again" / "logs" / "train.log").read_bytes()
    capsys.readouterr()
    assert run(runs, "--name", "again") == 2
    told = capsys.readouterr().err
    assert f"the run again is going on in process {child.pid} since" in told
    assert told.count("\n") == 1
    assert (runs / "again" / "logs" / "train.log").read_bytes().startswith(log)
    assert main(["runs", "show", "again", "--runs", str(runs)]) == 0
    assert capsys.readouterr().out.startswith("again: running")

    steps = psutil.Process(child.pid).children(recursive=True)
    assert steps
    child.kill()
    _, alive = psutil.wait_procs(steps, timeout=600)
    assert alive == []
    assert "got SIGTERM: saved epoch" in (runs / "again" / "logs" / "train.log").read_text(encoding="utf-8")
    assert main(["runs", "show", "again", "--runs", str(runs)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("again: interrupted")
    assert "train: its process was killed" in shown


def test_a_run_stopped_by_sigterm_says_so_and_ends_as_the_shell_expects(
    runs: Path, training: Callable[[str], subprocess.Popen[str]]
) -> None:
    child = training("stopped")
    child.terminate()
    _, errors = child.communicate(timeout=600)
    assert (child.returncode, errors) == (143, "stopped by SIGTERM\n")
    record = read_json(runs / "stopped" / "run.json")
    told = (record["status"], record["failed_step"], record["reason"])
    assert told == ("stopped", "train", "stopped by SIGTERM")
