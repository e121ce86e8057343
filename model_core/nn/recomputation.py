"""Recomputing in the backward pass what the forward pass then need not store."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

STEPS_PER_CHUNK = 256
"""Time steps handled together on a CPU: an edge tensor [256, 13, 13, 16] is 2.8 MB and stays in cache.

With one chunk for all 4,000 steps of a batch (43 MB a tensor) a whole training step took 1.4 times as long;
512 is as fast as 256 (docs/log.md).
"""

RunPolicy = Callable[..., Any]
"""How a module is run: ``direct``, or with ``activation_checkpoint`` to save memory."""


def direct(module: Callable[..., Any], *inputs: Any) -> Any:
    """Run ``module`` and keep its activations for the backward pass."""
    return module(*inputs)


def activation_checkpoint(module: Callable[..., Any], *inputs: Any) -> Any:
    """Run ``module``, keep only its inputs, and run it again in the backward pass (same dropout)."""
    if not torch.is_grad_enabled():
        return module(*inputs)
    return checkpoint(module, *inputs, use_reentrant=False)


def chunked_checkpoint(
    module: nn.Module, function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor
) -> tuple[Tensor, ...]:
    """``function(*tensors)`` in chunks along the first axis, each recomputed in the backward pass.

    For functions that treat every time step alone and draw no random numbers. The result is that of
    ``function(*tensors)``, its plain reference; memory is that of one chunk plus inputs and outputs.

    A GPU and a compiler are given that reference. A GPU's kernels want many steps at once, and have no cache to stay
    in; without the second run a production step of 16 windows took 19.4 instead of 21.7 ms on an H100, and 1.24
    instead of 0.83 GB (docs/log.md). A compiler decides for itself what to compute again.

    Args:
        module: owner of every parameter that ``function`` uses.
        function: maps tensors [n, …] to a tuple of tensors [n, …].
        tensors: inputs with the same first axis (batch and time, flattened).
    """
    if tensors[0].is_cuda or torch.compiler.is_compiling():
        return function(*tensors)
    outputs: tuple[Tensor, ...] = _ChunkedCheckpoint.apply(  # type: ignore[no-untyped-call]
        function, len(tensors), *tensors, *module.parameters()
    )
    return outputs


def chunks(x: Float[Tensor, "n ..."]) -> Iterator[slice]:
    """Where ``x`` is cut along its first axis: ``STEPS_PER_CHUNK`` on a CPU, nowhere on a GPU."""
    steps = x.shape[0]
    length = steps if x.is_cuda or torch.compiler.is_compiling() else STEPS_PER_CHUNK
    return (slice(start, start + length) for start in range(0, steps, length))


class _ChunkedCheckpoint(torch.autograd.Function):
    """Writes each chunk's result, and in the backward pass each chunk's gradient, into one buffer.

    With x_p the rows of chunk p of the inputs, θ the parameters, y_p = f(x_p; θ) and the arriving gradient
    g_p = ∂ℓ/∂y_p, no chunk depends on another one, so

        ∂ℓ/∂x_p = (∂y_p/∂x_p)ᵀ g_p          only the chunk's own rows
        ∂ℓ/∂θ   = Σ_p (∂y_p/∂θ)ᵀ g_p        a sum over the chunks

    Both products are autograd's, of f run once more on the chunk. ``torch.utils.checkpoint`` on every chunk is
    the same mathematics, but leaves small tensors of many chunks all over the heap.
    """

    @staticmethod
    def forward(ctx: Any, function: Callable[..., tuple[Tensor, ...]], count: int, *inputs: Tensor) -> Any:
        """``inputs`` are ``count`` tensors to cut, then the parameters, which every chunk gets whole."""
        ctx.function, ctx.count = function, count
        # The second run must round as the first did, and backward is called outside of autocast.
        ctx.autocast = (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
        ctx.save_for_backward(*inputs)
        wholes: tuple[Tensor, ...] = ()
        for chunk in chunks(inputs[0]):
            parts = function(*(tensor[chunk] for tensor in inputs[:count]))
            # Shapes and types of the outputs are known after the first chunk only.
            wholes = wholes or tuple(part.new_empty((inputs[0].shape[0], *part.shape[1:])) for part in parts)
            for whole, part in zip(wholes, parts, strict=True):
                whole[chunk] = part
        return wholes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        grads: list[Tensor | None] = [None] * len(inputs)
        enabled, dtype = ctx.autocast
        for chunk in chunks(inputs[0]):
            # Cut off from the graph of the forward pass: autograd must stop at the chunk's own inputs.
            local = [
                tensor[chunk].detach().requires_grad_(needed) if i < ctx.count else tensor
                for i, (tensor, needed) in enumerate(zip(inputs, ctx.needs_input_grad[2:], strict=True))
            ]
            with torch.enable_grad(), torch.autocast("cpu", dtype, enabled):
                parts = ctx.function(*local[: ctx.count])
            grad_parts = [grad[chunk] for grad in grad_outputs]
            # A parameter of ``module`` that ``function`` leaves alone has no gradient here.
            grad_locals = torch.autograd.grad(
                parts, [local[i] for i in wanted], grad_parts, allow_unused=True
            )
            for i, grad in zip(wanted, grad_locals, strict=True):
                if grad is None:
                    continue
                if i >= ctx.count:  # a parameter: the sum over the chunks
                    total = grads[i]
                    grads[i] = grad.clone() if total is None else total.add_(grad)
                else:  # a cut tensor: the chunk's own rows
                    buffer = grads[i]
                    if buffer is None:
                        buffer = grads[i] = torch.zeros_like(inputs[i])
                    buffer[chunk] = grad
        return (None, None, *grads)
