"""Small bricks: feed-forward, causal temporal mixers, and recomputation instead of stored activations."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

STEPS_PER_CHUNK = 256
"""Time steps handled together on a CPU: an edge tensor [256, 13, 13, 16] is 2.8 MB and stays in cache.

With one piece for all 4,000 steps of a batch (43 MB a tensor) a whole training step took 1.4 times as long;
512 is as fast as 256 (docs/log.md).
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


def over_steps(
    module: nn.Module, function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor
) -> tuple[Tensor, ...]:
    """``function(*tensors)`` in pieces along the first axis, each recomputed in the backward pass.

    For functions that treat every time step alone and draw no random numbers. The result is that of one
    call; memory is that of one piece plus inputs and outputs. A GPU gets a single piece.

    Args:
        module: owner of every parameter that ``function`` uses.
        function: maps tensors [n, …] to a tuple of tensors [n, …].
        tensors: inputs with the same first axis (batch and time, flattened).
    """
    if tensors[0].is_cuda:
        return recomputed(function, *tensors)
    outputs: tuple[Tensor, ...] = _OverSteps.apply(  # type: ignore[no-untyped-call]
        function, len(tensors), *tensors, *module.parameters()
    )
    return outputs


class _OverSteps(torch.autograd.Function):
    """Writes each piece's result, and in the backward pass each piece's gradient, into one buffer.

    ``torch.utils.checkpoint`` on every piece is the same mathematics, but leaves small tensors of many
    pieces all over the heap.
    """

    @staticmethod
    def forward(ctx: Any, function: Callable[..., tuple[Tensor, ...]], count: int, *inputs: Tensor) -> Any:
        ctx.function, ctx.count = function, count
        ctx.autocast = (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
        ctx.save_for_backward(*inputs)
        wholes: tuple[Tensor, ...] = ()
        for piece in pieces(inputs[0]):
            parts = function(*(tensor[piece] for tensor in inputs[:count]))
            wholes = wholes or tuple(part.new_empty((inputs[0].shape[0], *part.shape[1:])) for part in parts)
            for whole, part in zip(wholes, parts, strict=True):
                whole[piece] = part
        return wholes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        sums: list[Tensor | None] = [None] * len(inputs)
        enabled, dtype = ctx.autocast
        for piece in pieces(inputs[0]):
            local = [
                tensor[piece].detach().requires_grad_(needed) if i < ctx.count else tensor
                for i, (tensor, needed) in enumerate(zip(inputs, ctx.needs_input_grad[2:], strict=True))
            ]
            with torch.enable_grad(), torch.autocast("cpu", dtype, enabled):
                parts = ctx.function(*local[: ctx.count])
            arriving = [gradient[piece] for gradient in gradients]
            leaving = torch.autograd.grad(parts, [local[i] for i in wanted], arriving, allow_unused=True)
            for i, gradient in zip(wanted, leaving, strict=True):
                if gradient is None:
                    continue
                if i >= ctx.count:
                    total = sums[i]
                    sums[i] = gradient.clone() if total is None else total.add_(gradient)
                else:
                    buffer = sums[i]
                    if buffer is None:
                        buffer = sums[i] = torch.zeros_like(inputs[i])
                    buffer[piece] = gradient
        return (None, None, *sums)


def pieces(x: Float[Tensor, "n ..."]) -> Iterator[slice]:
    """Where ``x`` is cut along its first axis: ``STEPS_PER_CHUNK`` on a CPU, nowhere on a GPU."""
    steps = x.shape[0]
    length = steps if x.is_cuda else STEPS_PER_CHUNK
    return (slice(start, start + length) for start in range(0, steps, length))


class Dropout(nn.Module):
    """Zeroes each number with probability ``p`` (to 1/65536) in training and rescales the rest.

    On a CPU, four decisions come from every 64 random bits, where torch's own dropout draws a number for
    each. On a GPU it is torch's.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        if not self.training or self.p == 0 or x.is_cuda:
            return F.dropout(x, self.p, self.training)
        dropped = round(self.p * 2**16)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        draws = bits.view(torch.int16)[: x.numel()].view(x.shape)
        return x * ((draws >= dropped - 2**15).to(x.dtype) * (2**16 / (2**16 - dropped)))


class FeedForward(nn.Module):
    """x → W₂ GELU(W₁ x), with dropout on the way out."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

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
