"""Recomputing in the backward pass what the forward pass then need not store."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from model_core.nn.chunks import map_chunks

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
        cut = inputs[:count]
        wholes: list[Tensor] = []
        allocating = Lock()

        def compute(chunk: slice) -> None:
            parts = function(*(tensor[chunk] for tensor in cut))
            with allocating:  # shapes and types of the outputs are known after the first chunk only
                wholes.extend(part.new_empty((len(cut[0]), *part.shape[1:])) for part in parts[len(wholes) :])
            for whole, part in zip(wholes, parts, strict=True):
                whole[chunk] = part

        for _ in map_chunks(compute, cut[0]):
            pass
        return tuple(wholes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        # Of the tensors that are cut; each chunk writes its own rows.
        rows = {i: torch.zeros_like(inputs[i]) for i in wanted if i < ctx.count}
        enabled, dtype = ctx.autocast

        def differentiate(chunk: slice) -> list[Tensor | None]:
            """Gradients of the parameters that are wanted."""
            # Cut off from the graph of the forward pass: autograd must stop at the chunk's own inputs.
            local = [
                tensor[chunk].detach().requires_grad_(i in rows) if i < ctx.count else tensor
                for i, tensor in enumerate(inputs)
            ]
            with torch.enable_grad(), torch.autocast("cpu", dtype, enabled):
                parts = ctx.function(*local[: ctx.count])
            grad_parts = [grad[chunk] for grad in grad_outputs]
            # A parameter of ``module`` that ``function`` leaves alone has no gradient here.
            found = torch.autograd.grad(parts, [local[i] for i in wanted], grad_parts, allow_unused=True)
            for i, grad in zip(wanted, found, strict=True):
                if i in rows and grad is not None:
                    rows[i][chunk] = grad
            return list(found[len(rows) :])

        sums: list[Tensor | None] = [None] * (len(wanted) - len(rows))
        for grads in map_chunks(differentiate, inputs[0]):
            for number, (total, grad) in enumerate(zip(sums, grads, strict=True)):
                if grad is not None:
                    sums[number] = grad.clone() if total is None else total.add_(grad)
        whole = dict(zip(wanted[len(rows) :], sums, strict=True))
        return (None, None, *(rows.get(i, whole.get(i)) for i in range(len(inputs))))
