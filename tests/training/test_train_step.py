"""The training step: a dataset in, a model folder out, whole or not at all."""

import fcntl
import itertools
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from components.train.job import Job
from components.train.step import run
from model_core.artifacts import open_artifact
from model_core.checkpoints.files import save_checkpoint
from model_core.checkpoints.loading import load_model
from model_core.config.run import TrainingSettings
from model_core.data.dataset import MarketDataset
from model_core.data.windows import Window, WindowSet
from model_core.errors import ArtifactError, CheckpointError, SettingsError, UserError
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from model_core.training.precision import Precision
from model_core.training.validation import read_back
from tests.training.prepared import MODEL, TRAINING, write_tiny_dataset
from tests.training.processes import in_a_process
from tests.training.tiny import json_lines

RESTLESS = MODEL.model_copy(update={"dropout": 0.1})


def train(dataset: Path, model: Path, **changes: Any) -> dict[str, float]:
    """Train the smallest real model; with dropout, so that a resume has random states to restore."""
    uri = changes.pop("checkpoint_uri", None)
    model_settings = changes.pop("model_settings", RESTLESS)
    return run(
        Job(
            dataset=dataset,
            model=model,
            model_settings=model_settings,
            training_settings=TRAINING.model_copy(update=changes),
            checkpoint_uri=uri,
        )
    )


def test_the_model_folder_holds_what_the_contract_says(dataset: Path, tmp_path: Path) -> None:
    metrics = train(dataset, tmp_path / "model")
    manifest = open_artifact(tmp_path / "model", producer="train")
    checkpoint = {
        f"{c}/{f}"
        for c in ("best", "last")
        for f in ("model.safetensors", "settings.json", "checkpoint.json")
    }
    events = {name for name in manifest.files if name.startswith("tensorboard/")}
    assert len(events) == 1
    assert set(manifest.files) - events == checkpoint | {
        "history.parquet", "memory_diagnostics.log", "results.json", "steps.jsonl",
    }  # fmt: skip
    results = read_result(TrainResults, tmp_path / "model")
    assert results.best_validation_loss == metrics["best_validation_loss"]
    assert sum(results.parameters.by_part.values()) == results.parameters.total
    assert (results.d_model_requested, results.d_model_used) == (26, 26)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


class PowerCut(Exception):
    """Something that nobody expects in the middle of a run."""


@contextmanager
def failing_at(calls: int) -> Iterator[None]:
    """The ``calls``-th forward pass of a model raises ``PowerCut``."""
    passed = itertools.count(1)

    def count(module: torch.nn.Module, inputs: Any) -> None:
        if inputs and isinstance(inputs[0], Window) and next(passed) == calls:
            raise PowerCut("the lights went out")

    with torch.nn.modules.module.register_module_forward_pre_hook(count):
        yield


def test_the_memory_log_has_every_stage_of_a_run_that_failed_and_went_on(
    dataset: Path, tmp_path: Path
) -> None:
    named: dict[str, Any] = {"checkpoint_interval_minutes": 0.0}
    with failing_at(7), pytest.raises(PowerCut):
        train(dataset, tmp_path / "model", **named)
    train(dataset, tmp_path / "model", **named)
    lines = json_lines(tmp_path / "model" / "memory_diagnostics.log")
    begin, end = ["device", "data", "model", "optimizer"], ["validation", "epoch_end"]
    assert [line["stage"] for line in lines] == [
        *begin, "validation", "epoch_start", "batch", "batch", "exception",
        *begin, "epoch_start", "batch", *end, "epoch_start", "batch", "batch", "batch", *end, "evaluation", "end",
    ]  # fmt: skip
    assert next(line for line in lines if line["stage"] == "exception")["error"] == (
        "PowerCut: the lights went out"
    )


def test_a_run_that_failed_before_its_first_checkpoint_leaves_its_memory_log(
    dataset: Path, tmp_path: Path
) -> None:
    with failing_at(1), pytest.raises(PowerCut):
        train(dataset, tmp_path / "model")
    assert json_lines(tmp_path / ".model-training" / "memory_diagnostics.log")[-1]["stage"] == "exception"
    train(dataset, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_best_checkpoint_read_back_has_the_loss_it_was_chosen_for(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "model")
    results = read_result(TrainResults, tmp_path / "model")
    assert results.best_validation_loss_read_back == results.best_validation_loss


@pytest.mark.parametrize("recomputed", [False, True])
def test_a_run_reports_how_much_memory_its_training_took(
    recomputed: bool, dataset: Path, tmp_path: Path
) -> None:
    run(
        Job(
            dataset=dataset,
            model=tmp_path / "model",
            model_settings=MODEL.model_copy(update={"gradient_checkpointing": recomputed}),
            training_settings=TRAINING,
        )
    )
    results = read_result(TrainResults, tmp_path / "model")
    lines = json_lines(tmp_path / "model" / "memory_diagnostics.log")
    assert results.gradient_checkpointing == recomputed
    last = next(line for line in reversed(lines) if line["stage"] == "epoch_end")
    assert results.peak_memory_mb == last["process_peak_rss_mb"] > last["process_rss_mb"] / 2


def test_a_best_checkpoint_with_other_weights_is_warned_of(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(dataset, tmp_path / "model")
    loaded = load_model(tmp_path / "model" / "best")
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.add_(0.1)
    save_checkpoint(
        tmp_path / "other",
        loaded.model,
        settings=loaded.settings,
        inputs=loaded.inputs,
        info=loaded.info.model_dump(),
    )
    windows = WindowSet(MarketDataset.open(dataset), "validation")
    read_back(tmp_path / "other", windows, Precision(torch.device("cpu"), "fp32"), 8)
    assert "read back from" in caplog.text


def test_the_best_checkpoint_forecasts_with_the_loss_it_was_chosen_for(dataset: Path, tmp_path: Path) -> None:
    metrics = train(dataset, tmp_path / "model")
    loaded = load_model(tmp_path / "model" / "best")
    windows = WindowSet(MarketDataset.open(dataset), "validation")
    everything = windows.batch(torch.arange(len(windows)))
    with torch.no_grad():
        error = (loaded.model(everything).point - everything.target).square().mean()
    assert float(error) == pytest.approx(metrics["best_validation_loss"], rel=1e-5)
    assert loaded.info.validation_loss == pytest.approx(metrics["best_validation_loss"])
    assert loaded.info.epoch == metrics["best_epoch"]


SEQUENTIAL = RESTLESS.mixture.model_copy(update={"kind": "sequential_mixture"})


@pytest.mark.parametrize(
    "ablation",
    [
        {},
        {"use_mixture_decoder": True},
        {"use_mixture_decoder": True, "mixture": SEQUENTIAL},
        {"use_mixture_decoder": True, "use_stochastic_learner": True},
    ],
    ids=["point", "mixture", "sequential mixture", "mixture, stochastic graph"],
)
def test_a_killed_step_goes_on_when_the_same_command_is_given_again(
    ablation: dict[str, Any], dataset: Path, tmp_path: Path
) -> None:
    settings = {
        "checkpoint_interval_minutes": 0.0,
        "model_settings": RESTLESS.model_copy(update=ablation),
    }
    train(dataset, tmp_path / "whole", **settings)
    code = in_a_process(train, 10, signal.SIGKILL, dataset, tmp_path / "killed", **settings)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    train(dataset, tmp_path / "killed", **settings)
    results = read_result(TrainResults, tmp_path / "killed")
    assert results.resumed_at == (0, 4)
    for file in ("best/model.safetensors", "last/model.safetensors"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_sigterm_after_the_last_epoch_leaves_with_143_and_the_run_goes_on_to_its_end(
    dataset: Path, tmp_path: Path
) -> None:
    prepared = MarketDataset.open(dataset)
    train_batches, batches = (-(-len(WindowSet(prepared, split)) // 8) for split in ("train", "validation"))
    at_the_evaluation = batches + 2 * (train_batches + batches) + 1
    assert in_a_process(train, at_the_evaluation, signal.SIGTERM, dataset, tmp_path / "model") == 143
    train(dataset, tmp_path / "model")
    lines = json_lines(tmp_path / "model" / "memory_diagnostics.log")
    assert [line["stage"] for line in lines][-8:] == [
        "evaluation", "exception", "device", "data", "model", "optimizer", "evaluation", "end",
    ]  # fmt: skip


def test_a_finished_run_on_the_same_uri_is_not_trained_again(dataset: Path, tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    first = train(dataset, tmp_path / "first", checkpoint_uri=uri)
    again = train(dataset, tmp_path / "again", checkpoint_uri=uri)
    assert read_result(TrainResults, tmp_path / "again").resumed_at == (2, 0)
    assert again["best_validation_loss"] == first["best_validation_loss"]


def test_the_same_table_prepared_again_is_the_same_dataset(dataset: Path, tmp_path: Path) -> None:
    again = write_tiny_dataset(tmp_path / "dataset", note="another manifest")
    uri = str(tmp_path / "store")
    train(dataset, tmp_path / "first", checkpoint_uri=uri)
    train(again, tmp_path / "second", checkpoint_uri=uri)
    assert read_result(TrainResults, tmp_path / "second").resumed_at == (2, 0)


def test_checkpoints_of_another_model_are_refused(dataset: Path, tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    train(dataset, tmp_path / "first", checkpoint_uri=uri)
    work = tmp_path / ".second-training"
    with pytest.raises(CheckpointError, match="belongs to another run") as caught:
        train(dataset, tmp_path / "second", checkpoint_uri=uri, seed=1)
    assert str(caught.value).endswith(f"to start over, delete {work} and choose another --checkpoint-uri")
    shutil.rmtree(work)
    train(dataset, tmp_path / "second", checkpoint_uri=f"{uri}-2", seed=1)


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    for place in (tmp_path / "file" / "model", tmp_path / "mine"):
        with pytest.raises(ArtifactError) as caught:
            train(tmp_path / "nowhere", place)
        assert caught.value.exit_code == UserError.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_a_run_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="prepare_data"):
        train(
            tmp_path / "nowhere",
            tmp_path / "new" / "folder" / "model",
            checkpoint_uri=str(tmp_path / "store"),
        )
    assert not list(tmp_path.iterdir())


def test_settings_that_do_not_fit_the_dataset_leave_nothing_behind(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(SettingsError, match="num_input_waves"):
        run(
            Job(
                dataset=dataset,
                model=tmp_path / "mine" / "new" / "model",
                model_settings=MODEL.model_copy(update={"num_input_waves": 117}),
                training_settings=TRAINING,
                checkpoint_uri=str(tmp_path / "store"),
            )
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_two_runs_into_one_folder_do_not_mix(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / ".model-training").mkdir()
    with (tmp_path / ".model-training" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="another run is training into"):
            train(dataset, tmp_path / "model")


def test_the_settings_of_a_run_say_what_its_checkpoints_may_be_used_for() -> None:
    """Every setting either must be the same in a resumed run, or may change; none is forgotten."""
    from model_core.training.loop import identity_of
    from model_core.training.precision import resolve_precision

    averaged = TRAINING.model_copy(update={"ema_decay": 0.9, "seeds": (1, 2)})
    precision = resolve_precision(TRAINING)
    same = {key.removeprefix("training.") for key in identity_of(averaged, MODEL, precision, "")}
    may_change = {
        "train_epochs", "patience", "device", "mixed_precision", "compile", "checkpoint_interval",
        "checkpoint_interval_minutes", "keep_checkpoints", "mirror_patience_seconds", "termination_grace_seconds",
        "max_nonfinite_losses", "memory_log_interval", "step_log_interval", "tensorboard", "threads",
        "launcher", "cuda_graph", "shrinkage",
    }  # fmt: skip
    assert same - {"dataset", "model"} | may_change == set(TrainingSettings.model_fields)
