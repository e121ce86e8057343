"""An exponential moving average of the weights, validated and saved in place of the weights themselves.

    average ← d_t · average + (1 − d_t) · weights     d_t = min(d, (1 + t) / (10 + t)) after optimizer step t = 1, 2, …

The average starts from the untrained weights; d_t grows to d, so that a short run forgets them, too.
"""

import copy

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """d_t of the docstring above."""
    return min(decay, (1 + step) / (10 + step))


class WeightAverage:
    """The averaged weights in a model of their own, which no optimizer moves.

    Args:
        model: before its first step.
        decay: d, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.steps = 0
        """Optimizer steps that moved it."""

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Move towards the weights after a step; buffers, which no step moves, are copied."""
        self.steps += 1
        ours: list[Tensor] = list(self.module.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay_at(self.steps, self.decay))
        for buffer, new in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(new)
