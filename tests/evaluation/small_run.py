"""The artifacts of one small real run with a mixture head, made once a process by the real steps."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.diagnose.step import run as diagnose
from components.evaluate.step import run as evaluate
from components.report.step import run as report
from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import write_manifest
from model_core.config.run import DiagnosticsSettings, EvaluationSettings, ReportSettings
from model_core.data.dataset import PRODUCER
from model_core.training.state import Progress
from tests.data.market import noise_dataset
from tests.training.prepared import MODEL, TRAINING

EVALUATION = EvaluationSettings(device="cpu", importance_windows=16)
DIAGNOSTICS = DiagnosticsSettings(
    device="cpu",
    max_batches=1,
    batch_size=16,
    attack_strengths=(0.05,),
    attack_masks=("prices", "sky"),
    pgd_steps=2,
)


@cache
def small_run() -> dict[str, Path]:
    """Folders by name: dataset, model, evaluation, findings."""
    root = Path(tempfile.mkdtemp(prefix="small-run-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    folders = {name: root / name for name in ("dataset", "model", "evaluation", "findings")}
    folders["dataset"].mkdir()
    noise_dataset().write(folders["dataset"])
    write_manifest(folders["dataset"], producer=PRODUCER, settings={"data": {}})
    job = Job(
        dataset=folders["dataset"],
        model=folders["model"],
        model_settings=MODEL.model_copy(update={"use_mixture_decoder": True}),
        training_settings=TRAINING.model_copy(update={"tensorboard": False, "train_window_stride": 2}),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Two epochs on noise don't beat the untrained model, whose forecasts no sky reaches.
        patch.setattr(Progress, "awaits_first_score", False)
        train(job)
    given: dict[str, Any] = {"dataset": folders["dataset"], "model": folders["model"]}
    evaluate(**given, evaluation=folders["evaluation"], settings=EVALUATION)
    diagnose(**given, findings=folders["findings"], settings=DIAGNOSTICS)
    return folders


def steps_after_training(folders: dict[str, Path], root: Path, name: str) -> dict[str, Path]:
    """``evaluate``, ``diagnose`` and ``report`` on a trained model; ``folders`` with the page besides."""
    given: dict[str, Any] = {"dataset": folders["dataset"], "model": folders["model"]}
    evaluate(**given, evaluation=folders["evaluation"], settings=EVALUATION)
    diagnose(**given, findings=folders["findings"], settings=DIAGNOSTICS)
    found = folders | {"report": root / "report.html"}
    report(
        **found,
        summary=root / "summary.md",
        settings=ReportSettings(example_windows=1),
        publish_uri=None,
        run_name=name,
    )
    return found
