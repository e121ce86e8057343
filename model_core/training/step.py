"""One optimizer step: micro-batches forward and backward, the norm, clip, update.

The device does all of it without being asked for a number in between: whether loss and gradient are finite is
decided there, too, and the optimizer leaves the weights alone where they are not. Only then, and only once, the
numbers are read. That lets a whole step be recorded as a CUDA graph (``model_core.training.graphs``).
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.data.windows import WindowSet
from model_core.losses import LossParts
from model_core.nn.bundles import Forecast
from model_core.training.precision import Precision
from model_core.training.state import TrainState

Loss = Callable[[Forecast, Tensor], LossParts]


@dataclass(frozen=True)
class StepResult:
    """What one step did, over the windows of all processes."""

    losses: dict[str, float]
    """Mean by part of the loss; ``total`` is what was minimized."""
    gradient_norm: float
    """L2 norm before clipping."""
    norms_by_part: dict[str, float]
    """Gradient norm of each part of the model if the step was not taken, else empty."""

    @property
    def applied(self) -> bool:
        """Whether loss and gradient were finite, so that the weights moved."""
        return not self.norms_by_part


@dataclass(frozen=True)
class LaunchedStep:
    """A step that the device may still be busy with."""

    names: tuple[str, ...]
    """Of the loss's parts."""
    numbers: Float[Tensor, " parts+1"]
    """Mean of each part, then the gradient's norm."""

    def read(self, model: nn.Module) -> StepResult:
        """Wait for the device; a step that was not taken is looked at part by part."""
        *losses, gradient_norm = self.numbers.tolist()
        finite = all(map(math.isfinite, [*losses, gradient_norm]))
        norms = {} if finite else gradient_norms_by_part(model)
        return StepResult(dict(zip(self.names, losses, strict=True)), gradient_norm, norms)


def optimizer_step(
    state: TrainState,
    windows: WindowSet,
    micro_batches: Sequence[Tensor],
    loss: Loss,
    precision: Precision,
    clip_norm: float | None,
) -> StepResult:
    """Update the weights once with the mean loss over all windows of the micro-batches, and wait for it."""
    return launch_step(state, windows, micro_batches, loss, precision, clip_norm).read(state.model)


def launch_step(
    state: TrainState,
    windows: WindowSet,
    micro_batches: Sequence[Tensor],
    loss: Loss,
    precision: Precision,
    clip_norm: float | None,
) -> LaunchedStep:
    """``optimizer_step`` without the wait.

    Each micro-batch weighs as much as it has windows, so that a short last one does not count double and
    the gradient is that of one large batch. A loss or gradient that is not finite leaves the weights alone.

    Args:
        micro_batches: indices of windows; each process of the group takes its share of each.
        clip_norm: largest L2 norm of the gradient; ``None`` does not clip.
    """
    group, count = state.group, sum(map(len, micro_batches))
    state.optimizer.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for number, chunk in enumerate(micro_batches, start=1):
        share = group.shard(chunk)
        # All processes take part in every backward: one without a window borrows one with weight 0.
        batch = windows.batch(share if len(share) else chunk[:1])
        with nullcontext() if number == len(micro_batches) else group.accumulating(state.replica):
            with precision.autocast():
                forecast = state.forward(batch)
            parts = loss(forecast, batch.target)
            # DistributedDataParallel averages over the processes; the group's size turns that into a sum.
            weighted = parts.total * (len(share) * group.size / count)
            state.scaler.scale(weighted).backward()
        for name, value in {"total": parts.total, **parts.parts}.items():
            sums[name] = sums.get(name, torch.zeros_like(value)).detach() + value.detach() * len(share)

    state.scaler.unscale_(state.optimizer)
    weights = [weight for weight in state.model.parameters() if weight.grad is not None]
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    means = group.all_reduce_sum(torch.stack(list(sums.values())).float()) / count
    numbers = torch.cat([means, norm.reshape(1)])
    finite = numbers.isfinite().all()
    if clip_norm is not None:
        # A norm of 0 clips nothing: a gradient that is not finite stays as it is, to be looked at.
        nn.utils.clip_grads_with_norm_(weights, clip_norm, torch.where(finite, norm, torch.zeros_like(norm)))
    state.apply_gradients(finite)
    state.scaler.update()
    return LaunchedStep(tuple(sums), numbers)


def gradient_norms_by_part(model: nn.Module) -> dict[str, float]:
    """L2 norm of the gradient of each direct part of the model; ``(own)`` is what belongs to no part."""
    parts = {name: list(part.parameters()) for name, part in model.named_children()}
    parts["(own)"] = list(model.parameters(recurse=False))
    gradients = {name: [w.grad for w in weights if w.grad is not None] for name, weights in parts.items()}
    return {name: float(nn.utils.get_total_norm(found)) for name, found in gradients.items() if found}
