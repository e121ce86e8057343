"""One run of a search: a candidate trained at an origin, scored after every epoch, the untrained model included.

The loop is that of ``model_core.training.loop.train`` without checkpoints and logs; a test holds the two together.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.search.origins import SPANS, Origin
from model_core.axes import CLOSE
from model_core.build import build_model
from model_core.config.model import MixtureSettings
from model_core.config.run import Settings, TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Split, Window, WindowSet
from model_core.distributed import SINGLE_PROCESS
from model_core.losses import forecast_loss, mixture_crps, mixture_nll
from model_core.nn.bundles import Forecast
from model_core.training.graphs import StepGraphs, can_record
from model_core.training.outcome import reason_to_stop
from model_core.training.precision import Precision, resolve_precision
from model_core.training.schedule import anneal, learning_rate
from model_core.training.seeds import epoch_order, seed_everything
from model_core.training.state import TrainState
from model_core.training.step import Loss, StepResult, optimizer_step

SCORED_AT_ONCE = {"cpu": 64, "cuda": 512}
"""Windows of a forward pass without gradients."""
INDEPENDENT = MixtureSettings(nll_mode="independent")
Scores = dict[str, float | None]


class OutOfTimeError(Exception):
    """The search is over before this run is: it leaves no record."""


class OriginWindows:
    """An origin's windows on a device, each set of them made once."""

    def __init__(self, origin: Origin, device: torch.device) -> None:
        self.origin = origin
        self.inputs = ModelInputs.from_dataset(origin.dataset)
        self._device = device
        self._sets: dict[tuple[Split, int], WindowSet] = {}

    def of(self, split: Split, stride: int = 1) -> WindowSet:
        """Every ``stride``-th window of a split of the origin's dataset."""
        if (split, stride) not in self._sets:
            self._sets[split, stride] = WindowSet(self.origin.dataset, split, self._device, stride)
        return self._sets[split, stride]


def train_candidate(
    settings: Settings, windows: OriginWindows, going_on: Callable[[], bool] = lambda: True
) -> dict[str, Any]:
    """Train once; every epoch's scores on both spans, from epoch 0, the untrained model, on.

    Args:
        settings: of the candidate, with seed and device.
        going_on: asked before every step and every batch that is scored.

    Raises:
        OutOfTimeError: ``going_on`` said no.
        SettingsError: the settings do not fit the origin's dataset or this machine.
    """
    started = time.monotonic()
    training = settings.training
    precision = resolve_precision(training)
    precision.prepare_device()
    train = windows.of("train", training.train_window_stride)
    spans = {name: windows.of(split) for name, split in SPANS.items()}
    seed_everything(training.seed)
    model = build_model(settings.model, windows.inputs).to(precision.device)
    state = TrainState.fresh(model, training, precision, SINGLE_PROCESS)
    loss = partial(forecast_loss, settings=settings.model.mixture)
    if can_record(training, settings.model, precision, SINGLE_PROCESS):
        take_step = StepGraphs(state, train, loss, precision, training.clip_grad_norm).step
    else:
        take_step = partial(_plain_step, state, train, loss, precision, training.clip_grad_norm)

    def scored(train_loss: float | None) -> dict[str, Any]:
        epoch = {
            name: scores(state.scored, found, loss, precision, going_on) for name, found in spans.items()
        }
        return {"train_loss": train_loss, **epoch}

    anneal(state.scored, 0)
    epochs = [scored(None)]
    progress, skipped = state.progress, 0
    progress.scored(_decisive(epochs[0]))
    while not (stopped_because := reason_to_stop(progress, training)):
        mean, skipped_now = _train_epoch(state, train, training, take_step, going_on)
        skipped += skipped_now
        epochs.append(scored(_finite(mean)))
        progress.epoch += 1
        progress.scored(_decisive(epochs[-1]))
    steps_per_epoch = math.ceil(len(train) / (training.batch_size * training.gradient_accumulation_steps))
    return {
        "epochs": epochs,
        "best_epoch": progress.best_epoch,
        "stopped_because": stopped_because,
        "steps": steps_per_epoch * progress.epoch,
        "steps_per_epoch": steps_per_epoch,
        "skipped_steps": skipped,
        "train_windows": len(train),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "bars": windows.origin.bars,
        "seconds": round(time.monotonic() - started, 3),
    }


def _train_epoch(
    state: TrainState,
    windows: WindowSet,
    training: TrainingSettings,
    take_step: Callable[[Sequence[Tensor]], StepResult],
    going_on: Callable[[], bool],
) -> tuple[float, int]:
    """Mean loss over the windows of the steps that were taken, and how many were not."""
    epoch = state.progress.epoch
    order = epoch_order(len(windows), training.seed, epoch).to(windows.device)
    steps = order.split(training.batch_size * training.gradient_accumulation_steps)
    for module in dict.fromkeys((state.model, state.scored)):
        anneal(module, epoch)
    state.model.train()
    total, counted, skipped = 0.0, 0, 0
    for number, indices in enumerate(steps):
        if not going_on():
            raise OutOfTimeError
        rate = learning_rate(training, epoch, number / len(steps), (number + 1) / len(steps))
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        result = take_step(indices.split(training.batch_size))
        if result.applied:
            state.weights_moved()
            total, counted = total + result.losses["total"] * len(indices), counted + len(indices)
        else:
            skipped += 1
    return total / counted if counted else math.nan, skipped


def _plain_step(
    state: TrainState,
    windows: WindowSet,
    loss: Loss,
    precision: Precision,
    clip_norm: float | None,
    micro_batches: Sequence[Tensor],
) -> StepResult:
    return optimizer_step(state, windows, micro_batches, loss, precision, clip_norm)


@torch.no_grad()
def scores(
    model: nn.Module,
    windows: WindowSet,
    loss: Loss,
    precision: Precision,
    going_on: Callable[[], bool] = lambda: True,
) -> Scores:
    """Means over all windows: the loss as it is minimized, and in its own unit what candidates are compared by.

    ``nll`` is that of each target by itself, in nats of the scaled displacement; ``crps`` (all targets),
    ``crps_close``, ``mse`` and ``mse_close`` are in log price. A mean that is not finite, or a score that a point
    forecast does not have, is None.

    Raises:
        OutOfTimeError: ``going_on`` said no.
    """
    model.eval()
    sums: dict[str, Tensor] = {}
    for chunk in torch.arange(len(windows)).split(SCORED_AT_ONCE[windows.device.type]):
        if not going_on():
            raise OutOfTimeError
        batch = windows.batch(chunk)
        with precision.autocast():
            forecast = model(batch)
        for name, mean in _means(forecast, batch, loss).items():
            sums[name] = sums.get(name, torch.zeros_like(mean)) + mean * len(batch)
    # The only wait for the device.
    means = (torch.stack(list(sums.values())) / len(windows)).tolist()
    found = dict(zip(sums, means, strict=True))
    names = ("loss", "nll", "crps", "crps_close", "mse", "mse_close")
    return {name: _finite(found[name]) if name in found else None for name in names}


def _means(forecast: Forecast, batch: Window, loss: Loss) -> dict[str, Tensor]:
    """float64 means over a batch."""
    unit = batch.scale[:, None, None]
    squares = ((forecast.point.float() - batch.target) * unit).square()
    found = {
        "loss": loss(forecast, batch.target).total,
        "mse": squares.mean(),
        "mse_close": squares[..., CLOSE].mean(),
    }
    if forecast.mixture is not None:
        crps = mixture_crps(forecast.mixture, batch.target) * unit
        found |= {
            "nll": mixture_nll(forecast.mixture, batch.target, INDEPENDENT),
            "crps": crps.mean(),
            "crps_close": crps[..., CLOSE].mean(),
        }
    return {name: value.double() for name, value in found.items()}


def _decisive(epoch: dict[str, Any]) -> float:
    """What decides which epoch is the best, as in the product."""
    loss = epoch["validation"]["loss"]
    return math.inf if loss is None else float(loss)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
