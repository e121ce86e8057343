"""The mean loss of a model over windows: after each epoch, and of the best checkpoint when training is over."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from model_core.checkpoints.loading import load_model
from model_core.data.windows import Window, WindowSet
from model_core.distributed import SINGLE_PROCESS, ProcessGroup
from model_core.losses import forecast_loss
from model_core.nn.bundles import Forecast
from model_core.progress import ProgressMeter
from model_core.training.precision import Precision
from model_core.training.schedule import anneal
from model_core.training.shrinkage import Validated
from model_core.training.step import Loss

log = logging.getLogger("pgat.train")
READ_BACK_TOLERANCE = 0.01
"""Relative: far above what another order of summation does, far below what other weights do."""


def _nothing() -> None:
    pass


def _not_looked_at(window: Window, forecast: Forecast) -> None:
    pass


@torch.no_grad()
def mean_losses(
    model: nn.Module,
    windows: WindowSet,
    loss: Loss,
    precision: Precision,
    batch_size: int,
    group: ProcessGroup = SINGLE_PROCESS,
    after_batch: Callable[[], None] = _nothing,
    what: str = "validating",
    seen: Callable[[Window, Forecast], None] = _not_looked_at,
) -> dict[str, float]:
    """Mean over all windows of ``total`` and of each part of the loss, summed in float64.

    Each process of the group takes its share of every batch, and nothing is padded or counted twice. The work
    is called ``what`` where its progress is shown; ``seen`` is told each batch and its forecast.
    """
    model.eval()
    sums: dict[str, Tensor] = {}
    with ProgressMeter(what, len(windows), "windows", shown=group.is_main) as meter:
        for chunk in torch.arange(len(windows)).split(batch_size):
            share = group.shard(chunk)
            # A process without a window computes one like the others, so that all know the loss's parts.
            batch = windows.batch(share if len(share) else chunk[:1])
            with precision.autocast():
                forecast = model(batch)
            parts = loss(forecast, batch.target)
            seen(batch, forecast)
            for name, value in {"total": parts.total, **parts.parts}.items():
                weighted = value.double() * len(share)
                sums[name] = sums.get(name, torch.zeros_like(weighted)) + weighted
            after_batch()
            meter.update(len(chunk))
    means = group.all_reduce_sum(torch.stack(list(sums.values()))) / len(windows)
    return dict(zip(sums, means.tolist(), strict=True))


def read_back(
    best: Path, windows: WindowSet, precision: Precision, batch_size: int
) -> tuple[float, Validated]:
    """Validation loss and forecasts of the best checkpoint as its readers load it; warns if the loss was another one.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
    """
    loaded = load_model(best, precision.device)
    epoch, known = loaded.info.epoch, loaded.info.validation_loss
    anneal(loaded.model, max(epoch - 1, 0))
    loss = partial(forecast_loss, settings=loaded.settings.mixture)
    what, forecasts = "reading the best checkpoint back", []

    def seen(window: Window, forecast: Forecast) -> None:
        forecasts.append((forecast, loaded.model.at_rest(window), window.target))

    found = mean_losses(loaded.model, windows, loss, precision, batch_size, what=what, seen=seen)["total"]
    if known is not None and not abs(found - known) <= READ_BACK_TOLERANCE * abs(known):
        log.warning(
            "the checkpoint of epoch %d had a validation loss of %g in training and has %g read back from %s",
            epoch,
            known,
            found,
            best,
        )
    return found, Validated.joined(forecasts)
