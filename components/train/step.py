"""Step 2: a prepared dataset in, a trained model with its history out."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model_core.artifacts import staged_folder, write_json, write_manifest
from model_core.build import build_model, parameters_by_part
from model_core.checkpoints.manager import CheckpointManager
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.dataset import MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.losses import LossParts, forecast_loss
from model_core.nn.bundles import Forecast
from model_core.training.loop import Course, TrainingResult, new_state, train
from model_core.training.memory import MemoryLog
from model_core.training.precision import resolve_precision
from model_core.training.runlog import RunLog
from model_core.training.seeds import seed_everything

log = logging.getLogger("pgat.train")


def run(
    *,
    dataset: Path,
    model: Path,
    model_settings: ModelSettings,
    training_settings: TrainingSettings,
) -> dict[str, float]:
    """Train on the dataset and leave the best and the last checkpoint in the folder ``model``.

    Args:
        dataset: output folder of ``prepare_data``.
        model: output folder; appears whole at the end.
        model_settings: the ``model`` section.
        training_settings: the ``training`` section.

    Returns:
        Best validation loss and epoch, parameters, seconds.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        SettingsError: the settings do not fit the dataset or this machine.
        TrainingError: the loss stayed non-finite.
    """
    started = time.monotonic()
    settings = training_settings
    precision = resolve_precision(settings)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    prepared = MarketDataset.open(dataset)
    inputs = ModelInputs.from_dataset(prepared)
    with (
        staged_folder(model) as folder,
        MemoryLog(
            folder / "memory_diagnostics.log", precision.device, settings.memory_log_interval
        ) as memory,
    ):
        memory.stage("device", device=str(precision.device), precision=precision.kind)
        train_windows = WindowSet(prepared, "train", precision.device, settings.train_window_stride)
        validation_windows = WindowSet(prepared, "validation", precision.device)
        memory.stage("data", train_windows=len(train_windows), validation_windows=len(validation_windows))

        seed_everything(settings.seed)
        network = build_model(model_settings, inputs).to(precision.device)
        parameters = parameters_by_part(network)
        memory.stage("model", parameters=sum(parameters.values()))
        log.info(
            "%d parameters; d_model %d adjusted to %d; %s in %s on %d windows",
            sum(parameters.values()),
            model_settings.d_model,
            model_settings.width,
            precision.device,
            precision.kind,
            len(train_windows),
        )
        state = new_state(network, settings, precision)
        memory.stage("optimizer")
        checkpoints = CheckpointManager(
            folder, model_settings, inputs, settings.checkpoint_interval, settings.keep_checkpoints
        )
        course = Course(
            settings,
            precision,
            loss_of(model_settings),
            memory,
            RunLog(folder, settings.step_log_interval),
            checkpoints,
        )
        result = train(state, train_windows, validation_windows, course)
        course.runlog.close()
        seconds = time.monotonic() - started
        memory.stage("end")
        write_json(
            folder / "results.json",
            {
                **_results(result),
                "seconds": seconds,
                "device": str(precision.device),
                "precision": precision.kind,
                "seed": settings.seed,
                "d_model_requested": model_settings.d_model,
                "d_model_used": model_settings.width,
                "parameters": {
                    "total": sum(parameters.values()),
                    "without_gradient": sum(p.numel() for p in network.parameters() if not p.requires_grad),
                    "by_part": parameters,
                },
                "peak_memory_mb": memory.peak_mb,
                "train_windows": len(train_windows),
                "validation_windows": len(validation_windows),
            },
        )
        write_manifest(
            folder,
            producer="train",
            settings={
                "model": model_settings.model_dump(mode="json"),
                "training": settings.model_dump(mode="json"),
            },
            seed=settings.seed,
            inputs={"dataset": dataset},
        )
    return {
        "best_validation_loss": result.best_validation_loss,
        "best_epoch": float(result.best_epoch),
        "epochs": float(result.epochs),
        "parameters": float(sum(parameters.values())),
        "train_seconds": seconds,
    }


def loss_of(settings: ModelSettings) -> Callable[[Forecast, Tensor], LossParts]:
    """The training loss of a model's head."""
    return partial(forecast_loss, settings=settings.mixture)


def _results(result: TrainingResult) -> dict[str, Any]:
    return {
        "best_epoch": result.best_epoch,
        "best_validation_loss": result.best_validation_loss,
        "last_epoch": result.epochs,
        "epochs_run": len(result.history),
        "stopped_because": result.stopped_because,
    }
