"""The training loop: epoch, step, log, validate, save. Read it from ``train`` downwards."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model_core.checkpoints.manager import CheckpointManager
from model_core.config.run import TrainingSettings
from model_core.data.windows import Window, WindowSet
from model_core.errors import TrainingError
from model_core.nn.graph.stochastic import anneal_graphs
from model_core.training.memory import MemoryLog
from model_core.training.precision import Precision
from model_core.training.runlog import RunLog, progress_bar
from model_core.training.schedule import learning_rate
from model_core.training.seeds import epoch_order
from model_core.training.state import Progress, TrainState
from model_core.training.step import Loss, optimizer_step

log = logging.getLogger("pgat.train")


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    best_epoch: int
    best_validation_loss: float
    epochs: int
    stopped_because: str
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class Course:
    """What stays the same while a model trains."""

    settings: TrainingSettings
    precision: Precision
    loss: Loss
    memory: MemoryLog
    runlog: RunLog
    checkpoints: CheckpointManager


def new_state(model: nn.Module, settings: TrainingSettings, precision: Precision) -> TrainState:
    """Adam with weight decay added to the gradient, as published; fused on CUDA."""
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=precision.device.type == "cuda",
    )
    return TrainState(model, optimizer, precision.gradient_scaler(), Progress())


def train(
    state: TrainState, train_windows: WindowSet, validation_windows: WindowSet, course: Course
) -> TrainingResult:
    """Train until the last epoch or until ``patience`` epochs brought no gain.

    The state may be a fresh one or one restored from a checkpoint; either way the run goes on from
    ``state.progress``. Checkpoints ``best`` and ``last`` are there when it returns.

    Raises:
        TrainingError: the loss was not finite for ``max_nonfinite_losses`` steps in a row.
    """
    settings, progress = course.settings, state.progress
    stopped_because = "all epochs done"
    while progress.epoch < settings.train_epochs:
        train_epoch(state, train_windows, course)
        course.memory.stage("validation", epoch=progress.epoch + 1)
        validation = validate_epoch(state.model, validation_windows, course)
        _finish_epoch(state, validation, course)
        if progress.epochs_without_gain >= settings.patience < 999:
            stopped_because = f"no gain for {settings.patience} epochs"
            break
    leak = course.memory.leak_mb_per_epoch()
    if leak is not None and leak > 16:
        log.warning("memory grew by %.0f MiB an epoch; see memory_diagnostics.log", leak)
    return TrainingResult(
        progress.best_epoch, progress.best_loss, progress.epoch, stopped_because, progress.history
    )


def train_epoch(state: TrainState, windows: WindowSet, course: Course) -> None:
    """One pass over the shuffled training windows, from ``state.progress.step`` on."""
    settings, progress = course.settings, state.progress
    epoch = progress.epoch
    order = epoch_order(len(windows), settings.seed, epoch)
    per_step = settings.batch_size * settings.gradient_accumulation_steps
    steps = math.ceil(len(order) / per_step)
    if progress.step == 0:
        progress.start_epoch()
    course.memory.stage("epoch_start", epoch=epoch + 1)
    state.model.train()
    anneal_graphs(state.model, epoch)
    nonfinite = 0
    started = time.monotonic() - progress.seconds
    with progress_bar(steps, f"epoch {epoch + 1}/{settings.train_epochs}", progress.step) as bar:
        for step in range(progress.step, steps):
            rate = learning_rate(settings, epoch, step / steps, (step + 1) / steps)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            indices = order[step * per_step : (step + 1) * per_step]
            micro_batches = [windows.batch(chunk) for chunk in indices.split(settings.batch_size)]
            result = optimizer_step(
                state, micro_batches, course.loss, course.precision, settings.clip_grad_norm
            )

            mean = {name: float(total) / result.windows for name, total in result.loss_sums.items()}
            nonfinite = 0 if math.isfinite(mean["total"]) else nonfinite + 1
            if nonfinite >= settings.max_nonfinite_losses:
                raise TrainingError(_nonfinite_message(state.model, micro_batches, epoch, step, nonfinite))
            for name, total in result.loss_sums.items():
                progress.loss_sums[name] = progress.loss_sums.get(name, 0.0) + float(total)
            progress.windows += result.windows
            progress.gradient_norm_sum += float(result.gradient_norm)
            progress.step = step + 1
            progress.seconds = time.monotonic() - started
            course.runlog.step(
                epoch + 1,
                step + 1,
                **{f"loss_{name}": value for name, value in mean.items()},
                learning_rate=rate,
                gradient_norm=float(result.gradient_norm),
                samples_per_second=progress.windows / progress.seconds,
                memory_mb=course.memory.peak_mb,
            )
            course.memory.batch(epoch + 1, step + 1)
            course.checkpoints.after_step(state)
            bar.update()
            bar.set_postfix(loss=f"{mean['total']:.4f}")


@torch.no_grad()
def validate_epoch(model: nn.Module, windows: WindowSet, course: Course) -> dict[str, float]:
    """Mean loss over all windows, by part; ``total`` decides which epoch is the best."""
    model.eval()
    sums: dict[str, Tensor] = {}
    for batch in windows.batches(course.settings.batch_size):
        with course.precision.autocast():
            parts = course.loss(model(batch), batch.target)
        for name, value in {"total": parts.total, **parts.parts}.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value * len(batch)
    return {name: float(value) / len(windows) for name, value in sums.items()}


def _finish_epoch(state: TrainState, validation: dict[str, float], course: Course) -> None:
    progress = state.progress
    progress.epoch += 1
    loss = validation["total"]
    improved = loss < progress.best_loss
    if improved:
        progress.best_loss, progress.best_epoch, progress.epochs_without_gain = loss, progress.epoch, 0
    else:
        progress.epochs_without_gain += 1
    steps = progress.step
    course.memory.stage("epoch_end", epoch=progress.epoch)
    row = {
        "epoch": progress.epoch,
        "learning_rate": state.optimizer.param_groups[0]["lr"],
        "train_loss": progress.loss_sums["total"] / progress.windows,
        "validation_loss": loss,
        "gradient_norm": progress.gradient_norm_sum / steps,
        "seconds": progress.seconds,
        "samples_per_second": progress.windows / progress.seconds,
        "peak_memory_mb": course.memory.peak_mb,
    }
    row |= {f"train_{n}": v / progress.windows for n, v in progress.loss_sums.items() if n != "total"}
    row |= {f"validation_{name}": value for name, value in validation.items() if name != "total"}
    progress.history.append(row)
    progress.start_epoch()
    course.runlog.epoch(progress.history)
    course.checkpoints.after_epoch(state, improved)


def _nonfinite_message(model: nn.Module, batches: list[Window], epoch: int, step: int, in_a_row: int) -> str:
    first = min(int(batch.dates.min()) for batch in batches)
    last = max(int(batch.dates.max()) for batch in batches)
    days = [str(torch.tensor(day).numpy().astype("datetime64[D]")) for day in (first, last)]
    bad = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    where = f"; weights no longer finite: {', '.join(bad[:5])}" if bad else ""
    return (
        f"the loss was not finite for {in_a_row} steps in a row (epoch {epoch + 1}, step {step + 1}, windows "
        f"anchored {days[0]} … {days[1]}){where}; lower training.learning_rate or set training.precision: fp32"
    )
