"""One optimizer step: micro-batches forward and backward, the norm, clip, update."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
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


def optimizer_step(
    state: TrainState,
    windows: WindowSet,
    micro_batches: Sequence[Tensor],
    loss: Loss,
    precision: Precision,
    clip_norm: float | None,
) -> StepResult:
    """Update the weights once with the mean loss over all windows of the micro-batches.

    Each micro-batch weighs as much as it has windows, so that a short last one does not count double and
    the gradient is that of one large batch. A loss or gradient that is not finite leaves the weights alone.

    Args:
        micro_batches: indices of windows; each process of the group takes its share of each.
        clip_norm: largest L2 norm of the gradient; ``None`` does not clip.
    """
    group, count = state.group, sum(map(len, micro_batches))
    sums: dict[str, Tensor] = {}
    for number, chunk in enumerate(micro_batches, start=1):
        share = group.shard(chunk)
        # All processes take part in every backward: one without a window borrows one with weight 0.
        batch = windows.batch(share if len(share) else chunk[:1])
        with nullcontext() if number == len(micro_batches) else group.accumulating(state.replica):
            with precision.autocast():
                forecast = state.replica(batch)
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
    # The step's only wait for the device.
    *losses, gradient_norm = torch.cat([means, norm.reshape(1)]).tolist()
    finite = all(map(math.isfinite, [*losses, gradient_norm]))
    if finite:
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)
        state.scaler.step(state.optimizer)
    norms = {} if finite else gradient_norms_by_part(state.model)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    return StepResult(dict(zip(sums, losses, strict=True)), gradient_norm, norms)


def gradient_norms_by_part(model: nn.Module) -> dict[str, float]:
    """L2 norm of the gradient of each direct part of the model; ``(own)`` is what belongs to no part."""
    parts = {name: list(part.parameters()) for name, part in model.named_children()}
    parts["(own)"] = list(model.parameters(recurse=False))
    gradients = {name: [w.grad for w in weights if w.grad is not None] for name, weights in parts.items()}
    return {name: float(nn.utils.get_total_norm(found)) for name, found in gradients.items() if found}
