"""Two processes of a machine leave the model of one; they save when told to go, and start again when one is lost."""

import json
from pathlib import Path

import psutil
import pytest

from components.train.launchers import InlineLauncher, launch_from_settings
from components.train.torchrun import TorchrunLauncher
from model_core.config.run import LauncherSettings
from model_core.errors import ArtifactError
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from tests.training.launched import REPOSITORY, a_launcher, eventually
from tests.training.prepared import TRAINING, job_for
from tests.training.processes import HANGS_AFTER
from tests.training.tiny import json_lines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.mark.usefixtures("preloaded")
def test_the_settings_choose_torchrun_and_two_processes_take_the_first_step_of_one(
    dataset: Path, tmp_path: Path
) -> None:
    InlineLauncher().run(job_for(dataset, tmp_path / "inline"))
    two = TRAINING.model_copy(update={"launcher": LauncherSettings(kind="torchrun", processes=2)})
    metrics = launch_from_settings(job_for(dataset, tmp_path / "torchrun", training_settings=two))
    results = read_result(TrainResults, tmp_path / "torchrun")
    assert results.processes == 2
    assert metrics["best_validation_loss"] == results.best_validation_loss
    # The first step only: what rounds differently before it is amplified by training (docs/devices.md). That
    # all steps are the same but for rounding is what test_distributed.py shows, in float64.
    ours, theirs = (json_lines(tmp_path / name / "steps.jsonl") for name in ("torchrun", "inline"))
    assert len(ours) == len(theirs)
    for number in ("loss_total", "gradient_norm"):
        assert ours[0][number] == pytest.approx(theirs[0][number], rel=1e-5)


@pytest.mark.usefixtures("preloaded")
def test_an_error_of_the_processes_is_the_launchers_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="give the output folder of the prepare_data step"):
        TorchrunLauncher(processes=1, max_restarts=0).run(job_for(tmp_path / "nowhere", tmp_path / "model"))


@pytest.mark.usefixtures("preloaded")
def test_a_wrong_input_is_tried_once_and_told_without_a_traceback(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The main process alone sees what stands at the output; the other one waits for it, and follows."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "theirs.txt").write_text("not ours")
    with pytest.raises(ArtifactError, match="model"):
        TorchrunLauncher(processes=2).run(job_for(dataset, tmp_path / "model"))
    told = "".join(capfd.readouterr())
    assert "Traceback" not in told
    assert "restart" not in told.lower()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["theirs.txt"]


def test_sigterm_at_the_launcher_reaches_the_processes_which_save_and_leave(
    dataset: Path, tmp_path: Path, preloaded: str
) -> None:
    work_folder = tmp_path / ".model-training"
    with a_launcher(dataset, tmp_path / "model", epochs=10_000, python=preloaded) as launcher:
        eventually(lambda: (work_folder / "last").exists())
        launcher.terminate()
        launcher.join(HANGS_AFTER)
        assert launcher.exitcode == 143
    lines = (work_folder / "memory_diagnostics.log").read_text().splitlines()
    assert json.loads(lines[-1])["error"] == "SystemExit: 143"


def test_processes_that_lost_one_of_them_start_again_and_go_on(dataset: Path, tmp_path: Path) -> None:
    """Real ones, which are the launcher's descendants and so can be found."""
    with a_launcher(dataset, tmp_path / "model", epochs=10) as launcher:
        eventually(lambda: (tmp_path / ".model-training" / "last").exists())
        workers = [
            child
            for child in psutil.Process(launcher.pid).children(recursive=True)
            if "torch.distributed.run" not in child.cmdline() and "components.train.worker" in child.cmdline()
        ]
        workers[-1].kill()
        launcher.join(HANGS_AFTER)
        assert launcher.exitcode == 0
    assert read_result(TrainResults, tmp_path / "model").resumed_at is not None
