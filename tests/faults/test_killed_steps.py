"""Steps killed at the worst moments: what they leave is whole or not there, and the same command ends the work."""

import signal
from pathlib import Path

import pytest

from model_core.artifacts import open_artifact
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from tests.faults.killer import killed_at
from tests.faults.steps import do, words

pytestmark = pytest.mark.usefixtures("preloaded")


@pytest.mark.parametrize(
    ("step", "name", "point"),
    [
        ("prepare_data", "dataset", "pathlib:Path.rename"),
        ("evaluate", "evaluation", "model_core.artifacts:write_json"),
        ("diagnose", "findings", "pathlib:Path.rename"),
    ],
)
def test_an_output_is_not_there_when_its_step_is_killed_and_the_same_command_makes_it(
    step: str,
    name: str,
    point: str,
    made: Path,
    tmp_path: Path,
) -> None:
    """Before the finished folder takes its place, and before its first JSON file is written."""
    line = words(step, made, tmp_path)
    assert killed_at(point, 1, f"components.{step}", line).returncode == -signal.SIGKILL
    assert not (tmp_path / name).exists()
    do(step, line)
    open_artifact(tmp_path / name, producer=step)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_training_that_is_killed_when_it_is_over_is_not_repeated(
    made: Path,
    tmp_path: Path,
) -> None:
    line = words("train", made, tmp_path)
    killed = killed_at("model_core.training.runlog:write_history", 2, "components.train", line)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "model").exists()
    do("train", line)
    open_artifact(tmp_path / "model", producer="train")
    assert read_result(TrainResults, tmp_path / "model").resumed_at == (1, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_page_is_whole_when_the_step_is_killed_before_its_summary(
    made: Path,
    tmp_path: Path,
) -> None:
    line = words("report", made, tmp_path)
    assert killed_at("pathlib:Path.replace", 2, "components.report", line).returncode == -signal.SIGKILL
    assert (tmp_path / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert not (tmp_path / "summary.md").exists()
    do("report", line)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "summary.md"}
