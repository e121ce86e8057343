"""A run whose untrained model stayed the best: its forecast is the structured walk, and every step says so."""

from pathlib import Path

import pytest

from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import write_manifest
from model_core.checkpoints.loading import load_model
from model_core.data.dataset import PRODUCER
from model_core.results.findings import Findings, SkyRead
from model_core.results.record import read_result
from model_core.results.scores import Scores
from tests.data.market import noise_dataset
from tests.evaluation.small_run import steps_after_training
from tests.training.prepared import MODEL, TRAINING


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("run")
    found = {name: root / name for name in ("dataset", "model", "evaluation", "findings")}
    found["dataset"].mkdir()
    noise_dataset().write(found["dataset"])
    write_manifest(found["dataset"], producer=PRODUCER, settings={"data": {}})
    ruinous = {"learning_rate": 0.3, "warmup_epochs": 0, "train_window_stride": 4, "tensorboard": False}
    metrics = train(
        Job(
            dataset=found["dataset"],
            model=found["model"],
            model_settings=MODEL.model_copy(update={"use_mixture_decoder": True}),
            training_settings=TRAINING.model_copy(update=ruinous),
        )
    )
    assert metrics["best_epoch"] == 0
    return steps_after_training(found, root, "untrained")


def test_it_is_scored_as_the_walk_itself_and_not_as_its_rounding(folders: dict[str, Path]) -> None:
    scores = read_result(Scores, folders["evaluation"])
    against = scores.skill_against("structured_walk")
    assert (against.skill, against.low, against.high) == (0, 0, 0)
    assert against.outcome == "no evidence either way"
    assert scores.checkpoint.epoch == 0


def test_no_sky_reaches_it_and_its_invariants_hold(folders: dict[str, Path]) -> None:
    findings = read_result(Findings, folders["findings"])
    assert findings.reads == SkyRead(past_sky=False, future_sky=False)
    assert load_model(folders["model"] / "best").model.reads.past_sky
    assert all(invariant.passed for invariant in findings.invariants)
    assert "sky" not in {row.parameters.get("mask") for row in findings.perturbations}


def test_the_page_says_that_it_is_the_untrained_model(folders: dict[str, Path]) -> None:
    page = folders["report"].read_text(encoding="utf-8")
    assert "The best is epoch 0, the untrained model." in page
    assert (
        "The untrained model was the best on validation, and no celestial wave reaches its forecasts." in page
    )
