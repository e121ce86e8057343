"""Small bricks: feed-forward, causal temporal mixers, and recomputation instead of stored activations."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

STEPS_PER_CHUNK = 256
"""Time steps handled together on a CPU: an edge tensor [256, 13, 13, 16] is 2.8 MB and stays in cache.

One tensor for all 4,000 steps of a batch (43 MB) made the same pass 5 to 10 times slower, since every
pass then fetched fresh pages; see docs/log.md.
"""

Run = Callable[..., Any]
"""How a module is run: ``plain``, or ``recomputed`` in the backward pass to save memory."""


def plain(module: Callable[..., Any], *inputs: Any) -> Any:
    """Run ``module`` and keep its activations for the backward pass."""
    return module(*inputs)


def recomputed(module: Callable[..., Any], *inputs: Any) -> Any:
    """Run ``module``, keep only its inputs, and run it again in the backward pass (same dropout)."""
    if not torch.is_grad_enabled():
        return module(*inputs)
    return checkpoint(module, *inputs, use_reentrant=False)


def over_steps(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """``function(*tensors)`` in pieces along the first axis, each recomputed in the backward pass.

    For functions that treat every time step alone and draw no random numbers. The result is the same
    as one call; memory is that of one piece plus the inputs. A GPU gets a single piece.

    Args:
        function: maps tensors [n, …] to a tuple of tensors [n, …].
        tensors: inputs with the same first axis (batch and time, flattened).
    """
    steps = tensors[0].shape[0]
    size = steps if tensors[0].is_cuda else STEPS_PER_CHUNK
    pieces = [
        checkpoint(function, *piece, use_reentrant=False, preserve_rng_state=False)
        if torch.is_grad_enabled()
        else function(*piece)
        for piece in zip(*(tensor.split(size) for tensor in tensors), strict=True)
    ]
    return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))


class FeedForward(nn.Module):
    """x → W₂ GELU(W₁ x), with dropout on the way out."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return self.dropout(self.outer(F.gelu(self.inner(x))))


class CausalConvMixer(nn.Module):
    """Depthwise causal convolution over time, shared by the bodies: y_t = Σ_k w_k ⊙ x_{t−k}.

    Written as shifted products, since the time axis is not the last one and a copy costs more.
    """

    def __init__(self, width: int, kernel: int = 4) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(kernel, width) / kernel)

    def forward(self, x: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N C"]:
        mixed = x * self.taps[0]
        for lag in range(1, self.taps.shape[0]):
            mixed = mixed + F.pad(x[:, :-lag], (0, 0, 0, 0, lag, 0)) * self.taps[lag]
        return mixed


class CausalGRUMixer(nn.Module):
    """One GRU over time for all bodies at once (they are its batch)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N C"]:
        batch, steps, nodes, width = x.shape
        series = x.transpose(1, 2).reshape(batch * nodes, steps, width)
        mixed, _ = self.gru(series)
        return mixed.view(batch, nodes, steps, width).transpose(1, 2)
