"""One optimiser step: micro-batches forward and backward, clip, update."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_core.data.windows import Window
from model_core.losses import LossParts
from model_core.nn.bundles import Forecast
from model_core.training.precision import Precision
from model_core.training.state import TrainState

Loss = Callable[[Forecast, Tensor], LossParts]


@dataclass(frozen=True)
class StepResult:
    """What one step did; tensors stay on the device until somebody reads them."""

    loss_sums: dict[str, Tensor]
    """Sum over the step's windows, by part of the loss; ``total`` is what was minimised."""
    windows: int
    gradient_norm: Tensor
    """L2 norm before clipping."""


def optimizer_step(
    state: TrainState,
    micro_batches: Sequence[Window],
    loss: Loss,
    precision: Precision,
    clip_norm: float | None,
) -> StepResult:
    """Update the weights once with the mean loss over all windows of the micro-batches.

    Each micro-batch weighs as much as it has windows, so that a short last one does not count double and
    the gradient is that of one large batch.
    """
    windows = sum(len(batch) for batch in micro_batches)
    sums: dict[str, Tensor] = {}
    for batch in micro_batches:
        with precision.autocast():
            parts = loss(state.model(batch), batch.target)
        share = len(batch) / windows
        state.scaler.scale(parts.total * share).backward()  # type: ignore[no-untyped-call]
        for name, value in {"total": parts.total, **parts.parts}.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach() * len(batch)
    state.scaler.unscale_(state.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), clip_norm or math.inf)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    return StepResult(sums, windows, norm.detach())
