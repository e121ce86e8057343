"""Several seeds in one training step: one artifact, exact resume within a member, and every later step reads it."""

import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import read_json, write_json, write_manifest
from model_core.checkpoints.files import ENSEMBLE, WEIGHTS
from model_core.checkpoints.loading import load_model
from model_core.config.run import TrainingSettings
from model_core.data.dataset import PRODUCER, MarketDataset
from model_core.data.windows import WindowSet
from model_core.errors import CheckpointError
from model_core.evaluation.predict import evaluate_model
from model_core.nn.ensemble import EnsembleModel
from model_core.results.findings import Findings
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.tables import HISTORY, read_table
from model_core.results.training import TrainResults
from tests.checkpoints.fakes import renew_manifest
from tests.data.market import noise_dataset
from tests.evaluation.small_run import EVALUATION, steps_after_training
from tests.training.prepared import MODEL, TRAINING
from tests.training.processes import in_a_process
from tests.training.tiny import json_lines

SEEDS = (7, 8)
RESTLESS = MODEL.model_copy(update={"dropout": 0.1, "use_mixture_decoder": True})


def train_with(
    dataset: Path, model: Path, checkpoint_uri: str | None = None, **changes: Any
) -> dict[str, float]:
    return train(
        Job(
            dataset=str(dataset),
            model=str(model),
            model_settings=RESTLESS,
            training_settings=TRAINING.model_copy(update={"tensorboard": False} | changes),
            checkpoint_uri=checkpoint_uri,
        )
    )


@pytest.fixture(scope="module")
def pair(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("pair") / "model"
    train_with(dataset, model, seeds=SEEDS)
    return model


@pytest.mark.parametrize("number", [1, 2])
def test_each_member_is_the_model_that_its_seed_gives_alone(
    number: int, dataset: Path, pair: Path, tmp_path: Path
) -> None:
    train_with(dataset, tmp_path / "alone", seed=SEEDS[number - 1])
    for name in ("best", "last"):
        alone = tmp_path / "alone" / name / WEIGHTS
        assert (pair / name / f"member-{number}" / WEIGHTS).read_bytes() == alone.read_bytes()
    alone_results = read_result(TrainResults, tmp_path / "alone")
    of_pair = read_result(TrainResults, pair).members[number - 1]
    assert of_pair.best_validation_loss == alone_results.best_validation_loss
    assert of_pair.seed == SEEDS[number - 1]


def test_a_list_of_one_seed_is_that_seed(dataset: Path, tmp_path: Path) -> None:
    train_with(dataset, tmp_path / "alone", seed=7)
    train_with(dataset, tmp_path / "listed", seeds=(7,))
    weights = [(tmp_path / name / "best" / WEIGHTS).read_bytes() for name in ("alone", "listed")]
    assert weights[0] == weights[1]
    assert read_result(TrainResults, tmp_path / "listed").members == ()


def test_the_folder_tells_of_all_members(pair: Path) -> None:
    results = read_result(TrainResults, pair)
    history = read_table(HISTORY, pair, ["epoch", "member", "validation_loss"])
    assert history["member"].tolist() == [1, 1, 2, 2]
    assert history["epoch"].tolist() == [1, 2, 1, 2]
    assert {line["member"] for line in json_lines(pair / "steps.jsonl")} == {1, 2}
    assert (results.epochs_run, results.last_epoch, results.seed) == (4, 2, None)
    assert [member.seed for member in results.members] == list(SEEDS)


def test_the_loaded_model_forecasts_with_all_members(pair: Path, dataset: Path) -> None:
    loaded = load_model(pair / "best")
    assert isinstance(loaded.model, EnsembleModel)
    assert loaded.checkpoint.members == 2
    windows = WindowSet(MarketDataset.open(dataset), "validation")
    batch = windows.batch(torch.arange(len(windows)))
    alone = [load_model(pair / "best" / f"member-{number}").model for number in (1, 2)]
    with torch.no_grad():
        found = loaded.model(batch).point
        mean = torch.stack([model(batch).point for model in alone]).mean(0)
    torch.testing.assert_close(found, mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_step_that_is_stopped_in_its_second_member_goes_on_there(
    stop: signal.Signals, code: int, dataset: Path, pair: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"seeds": SEEDS, "checkpoint_interval_minutes": 0.0}
    # A member passes epoch 0, two epochs and the reading back: the stop comes in the second one's first epoch.
    prepared = MarketDataset.open(dataset)
    train_batches, batches = (-(-len(WindowSet(prepared, split)) // 8) for split in ("train", "validation"))
    member = batches + 2 * (train_batches + batches) + batches
    calls = member + batches + 3
    assert in_a_process(train_with, calls, stop, dataset, tmp_path / "model", **settings) == code
    work = tmp_path / ".model-training"
    first = (work / "member-1" / "last" / WEIGHTS).stat().st_mtime_ns
    train_with(dataset, tmp_path / "model", **settings)
    results = read_result(TrainResults, tmp_path / "model")
    assert results.resumed_at is not None
    assert results.resumed_at[0] == 0
    assert results.resumed_at[1] > 0
    for number in (1, 2):
        weights = Path("best") / f"member-{number}" / WEIGHTS
        assert (tmp_path / "model" / weights).read_bytes() == (pair / weights).read_bytes()
    assert first > 0
    assert not work.exists()


def test_members_are_mirrored_apart_and_fetched_again(dataset: Path, pair: Path, tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    train_with(dataset, tmp_path / "first", seeds=SEEDS, checkpoint_uri=uri)
    mirror = read_result(TrainResults, tmp_path / "first").mirror
    assert mirror is not None
    assert mirror.newest_is_complete
    assert mirror.uri == uri
    train_with(dataset, tmp_path / "again", seeds=SEEDS, checkpoint_uri=uri)
    results = read_result(TrainResults, tmp_path / "again")
    assert results.resumed_at == (2, 0)
    for number in (1, 2):
        weights = Path("best") / f"member-{number}" / WEIGHTS
        assert (tmp_path / "again" / weights).read_bytes() == (pair / weights).read_bytes()


def test_a_refusal_in_a_later_member_keeps_the_work_of_the_first(dataset: Path, tmp_path: Path) -> None:
    prepared = MarketDataset.open(dataset)
    train_batches, batches = (-(-len(WindowSet(prepared, split)) // 8) for split in ("train", "validation"))
    calls = batches + 2 * (train_batches + batches) + batches + batches + 3
    settings: dict[str, Any] = {"seeds": SEEDS, "checkpoint_interval_minutes": 0.0}
    code = in_a_process(train_with, calls, signal.SIGKILL, dataset, tmp_path / "model", **settings)
    assert code == -signal.SIGKILL
    with pytest.raises(CheckpointError, match="belongs to another run"):
        train_with(dataset, tmp_path / "model", **settings, learning_rate=0.5)
    assert (tmp_path / ".model-training" / "member-1" / "last").exists()


def test_a_member_that_is_damaged_or_gone_is_refused(pair: Path, tmp_path: Path) -> None:
    best = Path(shutil.copytree(pair / "best", tmp_path / "best"))
    (best / "member-2" / WEIGHTS).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"member-2/model\.safetensors is damaged or missing"):
        load_model(best)
    shutil.rmtree(best / "member-2")
    with pytest.raises(CheckpointError, match="damaged or missing"):
        load_model(best)


@pytest.mark.parametrize("names", [[], ["../member-1"], ["member-1/x"], "member-1", ["member-1"] * 33])
def test_names_of_members_lead_nowhere_else(names: object, pair: Path, tmp_path: Path) -> None:
    best = Path(shutil.copytree(pair / "best", tmp_path / "best"))
    write_json(best / ENSEMBLE, {"members": names, "validation_loss": None})
    for number in (1, 2):
        shutil.rmtree(best / f"member-{number}")
    renew_manifest(best)
    with pytest.raises(CheckpointError, match="names no members"):
        load_model(best)
    assert isinstance(read_json(best / ENSEMBLE), dict)


def test_one_seed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="name each seed once"):
        TrainingSettings(seeds=(1, 2, 1))


@pytest.mark.slow
def test_two_seeds_go_through_all_five_steps(tmp_path: Path) -> None:
    found = {name: tmp_path / name for name in ("dataset", "model", "evaluation", "findings")}
    found["dataset"].mkdir()
    noise_dataset().write(found["dataset"])
    write_manifest(found["dataset"], producer=PRODUCER, settings={"data": {}})
    train_with(found["dataset"], found["model"], seeds=SEEDS, shrinkage=True, train_window_stride=2)
    found = steps_after_training(found, tmp_path, "pair")
    loaded = load_model(found["model"] / "best")
    assert loaded.shrinkage is not None
    predictions = evaluate_model(
        loaded.model, WindowSet(MarketDataset.open(found["dataset"]), "test"), EVALUATION.batch_size
    )
    scores = read_result(Scores, found["evaluation"])
    error = np.square(predictions.forecast - predictions.true).mean()
    assert scores.forecasts["model"].metrics.log.overall.mse == pytest.approx(error, rel=1e-6)
    assert scores.checkpoint.members == 2
    assert scores.unshrunk is not None
    assert all(invariant.passed for invariant in read_result(Findings, found["findings"]).invariants)
    assert "2 seeds" in found["report"].read_text(encoding="utf-8") or loaded.info.epoch == 0
