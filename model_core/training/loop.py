"""The training loop: epoch, step, log, validate, save. Read it from ``train`` downwards."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from model_core.checkpoints.manager import CheckpointManager
from model_core.checkpoints.mirror import Mirror
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.distributed import SINGLE_PROCESS, ProcessGroup
from model_core.errors import TrainingError
from model_core.losses import forecast_loss
from model_core.progress import ProgressMeter
from model_core.results.training import HistoryRow
from model_core.training.graphs import StepGraphs, can_record
from model_core.training.memory import MemoryLog
from model_core.training.outcome import TrainingResult, reason_to_stop, result_of
from model_core.training.precision import Precision, resolve_precision
from model_core.training.rescue import dump_nonfinite, step_within_memory
from model_core.training.runlog import RunLog
from model_core.training.schedule import anneal, learning_rate, length_in_words
from model_core.training.seeds import epoch_order
from model_core.training.state import Progress, TrainState
from model_core.training.step import Loss, StepResult, optimizer_step
from model_core.training.validation import mean_losses

log = logging.getLogger("pgat.train")
CUDA_VALIDATION_BATCHES = 4
"""Batches that validation joins into one on a GPU: without gradients there is room, and fewer kernels are launched."""
FP16_SEARCH_STEPS = 16
"""Halvings that take the gradient scaler from its first 2¹⁶ to 1: this many steps may overflow in a row."""


@dataclass(frozen=True)
class TrainContext:
    """What stays the same while a model trains."""

    settings: TrainingSettings
    precision: Precision
    loss: Loss
    memory: MemoryLog
    runlog: RunLog
    checkpoints: CheckpointManager
    group: ProcessGroup
    graphs: StepGraphs | None
    """Where steps are recorded as CUDA graphs."""


def train(
    model: nn.Module,
    train_windows: WindowSet,
    validation_windows: WindowSet,
    settings: TrainingSettings,
    folder: Path,
    *,
    model_settings: ModelSettings,
    inputs: ModelInputs,
    memory: MemoryLog,
    group: ProcessGroup = SINGLE_PROCESS,
    mirror: Mirror | None = None,
    dataset_sha256: str = "",
    watch: Callable[[HistoryRow], None] | None = None,
) -> TrainingResult:
    """Train until the last epoch, or until ``patience`` epochs brought no gain; epoch 0 is the untrained model.

    A run that was stopped goes on from its last checkpoint in ``folder``, as if nothing had happened.

    Args:
        model: on the device of the windows.
        folder: for ``best``, ``last``, ``history.parquet``, ``steps.jsonl`` and ``tensorboard``.
        model_settings, inputs: stored in the checkpoints, so that they can rebuild the model.
        memory: open log of the memory.
        group: the processes that train together.
        mirror: where checkpoints are copied to in the background.
        dataset_sha256: names the dataset, so that a run on another one is not continued.
        watch: called with each finished epoch; it must not wait.

    Raises:
        CheckpointError: the checkpoints in ``folder`` belong to another run, or all are damaged.
        StoreError: the mirror cannot be reached at the start, and is needed.
        TrainingError: losses stayed non-finite, or the memory is not enough.
        SystemExit: SIGTERM arrived; the state is saved.
    """
    precision = resolve_precision(settings)
    precision.prepare_device()
    checkpoints = CheckpointManager(
        folder,
        model_settings,
        inputs,
        settings,
        identity_of(settings, model_settings, precision, dataset_sha256),
        mirror,
    )
    state = TrainState.fresh(model, settings, precision, group)
    resumed_at = (state.progress.epoch, state.progress.step) if checkpoints.resume(state) else None
    memory.stage("optimizer", resumed_at=resumed_at)
    earlier = checkpoints.earlier_epochs
    if earlier is not None and earlier != settings.train_epochs:
        log.warning("%s", length_in_words(settings, earlier, state.progress.epoch))
    loss = partial(forecast_loss, settings=model_settings.mixture)
    with (
        closing(RunLog(folder, settings, state.progress, watch)) as runlog,
        checkpoints.catching_termination(),
    ):
        graphs = None
        if can_record(settings, model_settings, precision, group):
            graphs = StepGraphs(state, train_windows, loss, precision, settings.clip_grad_norm)
        context = TrainContext(settings, precision, loss, memory, runlog, checkpoints, group, graphs)
        if state.progress.awaits_first_score:
            score_untrained(state, validation_windows, context)
        while not (stopped_because := reason_to_stop(state.progress, settings)):
            train_epoch(state, train_windows, context)
            validation = validate_epoch(state, validation_windows, context, state.progress.epoch + 1)
            _finish_epoch(state, validation, context)
        checkpoints.finish(state)
    log.info("training is over: %s; the best epoch is %d", stopped_because, state.progress.best_epoch)
    return result_of(state.progress, stopped_because, resumed_at, memory)


def score_untrained(state: TrainState, windows: WindowSet, context: TrainContext) -> None:
    """Epoch 0: the model before its first step is the first candidate for the best checkpoint."""
    anneal(state.scored, 0)
    loss = validate_epoch(state, windows, context, 0)["total"]
    state.progress.untrained_loss = loss
    log.info("epoch 0, untrained: validation %.5f", loss)
    context.checkpoints.after_scoring(state, state.progress.scored(loss))


def train_epoch(state: TrainState, windows: WindowSet, context: TrainContext) -> None:
    """One pass over the shuffled training windows, from ``state.progress.step`` on."""
    settings, progress = context.settings, state.progress
    epoch = progress.epoch
    order = epoch_order(len(windows), settings.seed, epoch).to(windows.device)
    # A batch is what one forward pass sees; a step gathers the gradients of several batches.
    steps = order.split(settings.batch_size * settings.gradient_accumulation_steps)
    if progress.step == 0:
        progress.start_epoch()
    context.memory.stage("epoch_start", epoch=epoch + 1)
    for module in dict.fromkeys((state.model, state.scored)):
        anneal(module, epoch)
    state.model.train()
    started = time.monotonic() - progress.seconds  # an epoch that goes on counts on
    title = f"epoch {epoch + 1}/{settings.train_epochs}"
    with ProgressMeter(title, len(steps), "steps", done=progress.step, shown=context.group.is_main) as meter:
        for step in range(progress.step, len(steps)):
            rate = learning_rate(settings, epoch, step / len(steps), (step + 1) / len(steps))
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            result = _take_step(state, windows, steps[step], context)
            _update_epoch_totals(progress, result, len(steps[step]))
            if result.applied:
                state.weights_moved()
            else:
                _handle_nonfinite_step(state, windows, steps[step], result, context)
            progress.step = step + 1
            progress.seconds = time.monotonic() - started
            context.runlog.step(progress, len(steps), result, rate, context.memory.peak_mb)
            before = step * settings.gradient_accumulation_steps
            context.memory.batches(
                epoch + 1, before, before + math.ceil(len(steps[step]) / settings.batch_size)
            )
            context.checkpoints.after_step(state)
            meter.update(note=f"loss {result.losses['total']:.4f}")


def validate_epoch(
    state: TrainState, windows: WindowSet, context: TrainContext, epoch: int
) -> dict[str, float]:
    """Mean loss over all windows, by part; ``total`` decides which epoch is the best."""
    context.memory.stage("validation", epoch=epoch)
    return mean_losses(
        state.scored,
        windows,
        context.loss,
        context.precision,
        context.settings.batch_size * (CUDA_VALIDATION_BATCHES if windows.device.type == "cuda" else 1),
        state.group,
        what=f"validating epoch {epoch}",
        after_batch=partial(context.checkpoints.after_validation_batch, state),
    )


def identity_of(
    settings: TrainingSettings, model_settings: ModelSettings, precision: Precision, dataset_sha256: str
) -> dict[str, object]:
    """What makes a run this run: a checkpoint of another one is refused.

    What only says how long to train, what to log or what to keep may change between two attempts.
    """
    decisive = {
        "seed", "batch_size", "learning_rate", "lradj", "lr_update", "warmup_epochs", "min_lr", "weight_decay",
        "clip_grad_norm", "gradient_accumulation_steps", "train_window_stride", "ema_decay",
        "seeds",
    }  # fmt: skip
    # Checkpoints of earlier code don't know these, and go on where they are off.
    later = {"ema_decay", "seeds"}
    return {
        "dataset": dataset_sha256,
        "model": model_settings.model_dump(mode="json"),
        "precision": precision.kind,
        **{
            f"training.{name}": value
            for name, value in settings.model_dump(mode="json", include=decisive).items()
            if value is not None or name not in later
        },
    }


def _take_step(state: TrainState, windows: WindowSet, indices: Tensor, context: TrainContext) -> StepResult:
    batch_size, clip_norm = context.settings.batch_size, context.settings.clip_grad_norm

    def attempt() -> StepResult:
        # Anew at each attempt: after a lack of memory there are twice as many micro-batches.
        chunks = indices.split(math.ceil(batch_size / state.progress.micro_batches))
        if context.graphs is not None:
            return context.graphs.step(chunks)
        return optimizer_step(state, windows, chunks, context.loss, context.precision, clip_norm)

    forget = context.graphs.forget if context.graphs is not None else None
    return step_within_memory(attempt, state, context.memory, batch_size, forget)


def _update_epoch_totals(progress: Progress, result: StepResult, windows: int) -> None:
    """Add a step to the sums of its epoch; one that was not taken is counted, but not averaged."""
    if not result.applied:
        progress.skipped_steps += 1
        progress.skipped_in_a_row += 1
        return
    progress.skipped_in_a_row = 0
    for name, mean in result.losses.items():
        progress.loss_sums[name] = progress.loss_sums.get(name, 0.0) + mean * windows
    progress.windows += windows
    progress.gradient_norm_sum += result.gradient_norm


def _handle_nonfinite_step(
    state: TrainState, windows: WindowSet, indices: Tensor, result: StepResult, context: TrainContext
) -> None:
    """Warn of a step that was not taken; after too many in a row save what is needed to find out why.

    Raises:
        TrainingError: that was one too many.
    """
    in_a_row, limit = state.progress.skipped_in_a_row, context.settings.max_nonfinite_losses
    if context.precision.kind == "fp16" and math.isfinite(result.losses["total"]):
        # The scaler is still looking for a factor that does not overflow.
        limit += FP16_SEARCH_STEPS
    where = f"epoch {state.progress.epoch + 1}, step {state.progress.step + 1}"
    log.warning(
        "%s: loss %g, gradient norm %g; the weights were not changed (%d of %d in a row)",
        where,
        result.losses["total"],
        result.gradient_norm,
        in_a_row,
        limit,
    )
    if in_a_row < limit:
        return
    debug = context.checkpoints.save_for_debugging(state)
    dates = dump_nonfinite(debug.parent, windows, indices, result, where, context.group)
    raise TrainingError(
        f"loss or gradient were not finite for {in_a_row} steps in a row ({where}, {dates}); state and gradient "
        f"norms are in {debug.parent}; lower training.learning_rate or set training.precision: fp32"
    )


def _finish_epoch(state: TrainState, validation: dict[str, float], context: TrainContext) -> None:
    progress, loss = state.progress, validation["total"]
    progress.epoch += 1
    improved = progress.scored(loss)
    if not math.isfinite(loss):
        log.warning("the validation loss of epoch %d is %g; it cannot be the best", progress.epoch, loss)
    context.memory.stage("epoch_end", epoch=progress.epoch)
    context.runlog.epoch(progress, validation, state.optimizer.param_groups[0]["lr"], context.memory.peak_mb)
    progress.start_epoch()
    context.checkpoints.after_epoch(state, improved)
