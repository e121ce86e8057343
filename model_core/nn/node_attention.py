"""Attention among the few nodes of each time step, with a backward pass of its own.

For one time step and one head: queries q_i, keys k_j and values v_j of c channels, a bias b_ij that all heads
share, and the head's slope β. Forward,

    s_ij = q_i · k_j / √c + β b_ij          scores
    w_ij = exp s_ij / Σ_j' exp s_ij'        weights, a softmax over j
    o_i  = Σ_j w_ij v_j                     what node i reads

Backward, with the arriving gradient g_i = ∂ℓ/∂o_i,

    ∂ℓ/∂v_j  = Σ_i w_ij g_i
    a_ij     = ∂ℓ/∂w_ij = g_i · v_j
    δ_ij     = ∂ℓ/∂s_ij = w_ij (a_ij − Σ_j' w_ij' a_ij')      since ∂w_ij'/∂s_ij = w_ij' ([j = j'] − w_ij)
    ∂ℓ/∂q_i  = Σ_j δ_ij k_j / √c
    ∂ℓ/∂k_j  = Σ_i δ_ij q_i / √c
    ∂ℓ/∂b_ij = Σ_h β_h δ_hij                                  all heads read the same bias
    ∂ℓ/∂β_h  = Σ_ij b_ij δ_hij                                summed over all time steps

The time steps move to the last axis and the few channels of a head are summed one by one, so that every pass
runs over n contiguous numbers, instead of 32,000 matrix products of 13 × 2 by 2 × 13. The weights are kept for
the backward pass and everything else is derived again from the inputs, in chunks that stay in the cache (on a
GPU in one). Scores and sums have at least 32 bits under autocast, too.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from model_core.nn.casting import at_least_fp32, without_autocast
from model_core.nn.chunks import map_chunks


def attend_nodes(
    queries: Float[Tensor, "n I d"],
    memory: Float[Tensor, "n J 2*d"],
    heads: int,
    bias: Float[Tensor, "n I J"] | None = None,
    slope: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "n I d"]:
    """softmax_j(q_i · k_j / √c + slope_h · bias_ij) v_j for the few nodes of n time steps.

    ``attend_nodes_reference`` is the same as one reads it.

    Args:
        memory: keys, then values, side by side.
        bias: added to the scores of every head, times the head's ``slope``; both or neither.
    """
    read: Tensor = _AttendNodes.apply(queries, memory, bias, slope, heads)  # type: ignore[no-untyped-call]
    return read


def attend_nodes_reference(
    queries: Float[Tensor, "n I d"],
    memory: Float[Tensor, "n J 2*d"],
    heads: int,
    bias: Float[Tensor, "n I J"],
    slope: Float[Tensor, " H"],
) -> tuple[Float[Tensor, "n I d"], Float[Tensor, "H I J n"]]:
    """What ``attend_nodes`` and ``node_weights`` must return, written out; autograd does the backward pass."""
    q, k, v = (x.unflatten(-1, (heads, -1)) for x in (queries, *memory.chunk(2, dim=-1)))
    scores = torch.einsum("nihc,njhc->nhij", q, k) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores + slope[:, None, None] * bias.unsqueeze(1), dim=-1)
    return torch.einsum("nhij,njhc->nihc", weights, v).flatten(2), weights.permute(1, 2, 3, 0)


def node_weights(
    queries: Float[Tensor, "n I d"],
    memory: Float[Tensor, "n J 2*d"],
    heads: int,
    bias: Float[Tensor, "n I J"] | None = None,
    slope: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "H I J n"]:
    """What ``attend_nodes`` weighs the values with; sums to 1 over J."""
    return _weights(_Heads.of(queries, memory, bias, heads), slope)


class _Heads(NamedTuple):
    """The inputs of one chunk, time steps last."""

    queries: Float[Tensor, "H c I n"]
    """Already divided by √c."""
    keys: Float[Tensor, "H c J n"]
    values: Float[Tensor, "H c J n"]
    bias: Float[Tensor, "I J n"] | None

    @staticmethod
    def of(queries: Tensor, memory: Tensor, bias: Tensor | None, heads: int) -> "_Heads":
        keys, values = memory.chunk(2, dim=-1)
        channels = queries.shape[-1] // heads
        return _Heads(
            _steps_last(queries, heads) / math.sqrt(channels),
            _steps_last(keys, heads),
            _steps_last(values, heads),
            None if bias is None else at_least_fp32(bias).permute(1, 2, 0).contiguous(),
        )


def _steps_last(x: Float[Tensor, "n I d"], heads: int) -> Float[Tensor, "H c I n"]:
    return at_least_fp32(x).unflatten(-1, (heads, -1)).permute(2, 3, 1, 0).contiguous()


def _steps_first(x: Float[Tensor, "H c I n"]) -> Float[Tensor, "n I d"]:
    return x.permute(3, 2, 0, 1).flatten(2)


def _weights(chunk: _Heads, slope: Tensor | None) -> Float[Tensor, "H I J n"]:
    """w of the module's docstring."""
    q, k = chunk.queries.unbind(1), chunk.keys.unbind(1)  # c tensors [H, I, n] and [H, J, n]
    scores = q[0].unsqueeze(2) * k[0].unsqueeze(1)  # [H, I, 1, n] · [H, 1, J, n] -> [H, I, J, n]
    for q_c, k_c in zip(q[1:], k[1:], strict=True):
        scores = scores.addcmul_(q_c.unsqueeze(2), k_c.unsqueeze(1))
    if chunk.bias is not None and slope is not None:
        # [H, 1, 1, 1] · [I, J, n]
        scores = scores.addcmul_(at_least_fp32(slope)[:, None, None, None], chunk.bias)
    return torch.softmax(scores, dim=2)


class _AttendNodes(torch.autograd.Function):
    """The equations at the top of this file.

    Autograd's own backward pass of ``_weights`` and the sum stores and copies each product over the pairs.
    """

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, memory: Tensor, bias: Tensor | None, slope: Tensor | None, heads: int
    ) -> Tensor:
        read = torch.empty_like(queries)  # [n, I, d]

        def attend(chunk: slice) -> Tensor:
            inputs = _Heads.of(queries[chunk], memory[chunk], None if bias is None else bias[chunk], heads)
            weights = _weights(inputs, slope)  # [H, I, J, n]
            # One buffer for the products of all channels: a new one for each would be as large as the weights.
            product, sums = torch.empty_like(weights), torch.empty_like(inputs.queries)
            for c, values in enumerate(inputs.values.unbind(1)):
                # o_ic = Σ_j w_ij v_jc: [H, I, J, n] · [H, 1, J, n], summed over J -> [H, I, n]
                sums[:, c] = torch.mul(weights, values.unsqueeze(1), out=product).sum(2)
            read[chunk] = _steps_first(sums)
            return weights

        weights = list(map_chunks(attend, queries))
        ctx.heads = heads
        ctx.save_for_backward(queries, memory, bias, slope, *weights)
        return read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_read: Tensor) -> Any:
        queries, memory, bias, slope, *kept = ctx.saved_tensors
        grad_queries, grad_memory = torch.empty_like(queries), torch.empty_like(memory)
        grad_bias = None if bias is None else torch.empty_like(bias)

        def differentiate(chunk: slice, weights: Tensor) -> Tensor | None:
            """Writes the chunk's rows and returns its share of the gradient of the slope."""
            inputs = _Heads.of(
                queries[chunk], memory[chunk], None if bias is None else bias[chunk], ctx.heads
            )
            # δ [H, I, J, n] and ∂ℓ/∂v [H, c, J, n]
            grad_scores, grad_values = _grad_scores(inputs, weights, _steps_last(grad_read[chunk], ctx.heads))
            grad_q, grad_k = torch.empty_like(inputs.queries), torch.empty_like(inputs.keys)
            product = torch.empty_like(grad_scores)
            for c in range(grad_q.shape[1]):
                # Σ_j δ_ij k_jc: [H, I, J, n] · [H, 1, J, n], summed over J -> [H, I, n]
                grad_q[:, c] = torch.mul(grad_scores, inputs.keys[:, c].unsqueeze(1), out=product).sum(2)
                # Σ_i δ_ij q_ic / √c: [H, I, J, n] · [H, I, 1, n], summed over I -> [H, J, n]
                grad_k[:, c] = torch.mul(grad_scores, inputs.queries[:, c].unsqueeze(2), out=product).sum(1)
            # The queries were divided by √c before the product, so only their own gradient still has to be.
            grad_queries[chunk] = _steps_first(grad_q.div_(math.sqrt(grad_q.shape[1])))
            grad_memory[chunk] = torch.cat([_steps_first(grad_k), _steps_first(grad_values)], dim=-1)
            if inputs.bias is None or slope is None or grad_bias is None:
                return None
            per_head = grad_scores.flatten(1)  # [H, I · J · n]
            # torch's compiler traces this pass under the autocast of the forward pass.
            with without_autocast(per_head):
                # Σ_h β_h δ_h: [H] @ [H, I · J · n] -> [I, J, n] -> [n, I, J]
                shared = (at_least_fp32(slope) @ per_head).view_as(inputs.bias)
                grad_bias[chunk] = shared.permute(2, 0, 1)
                return per_head @ inputs.bias.flatten()  # Σ b δ_h -> [H]

        shares = list(map_chunks(differentiate, queries, kept))
        grad_slope = None if slope is None else torch.zeros_like(slope)
        for share in shares:
            if grad_slope is not None and share is not None:
                grad_slope += share
        return grad_queries, grad_memory, grad_bias, grad_slope, None


def _grad_scores(
    inputs: _Heads, weights: Float[Tensor, "H I J n"], grad_read: Float[Tensor, "H c I n"]
) -> tuple[Float[Tensor, "H I J n"], Float[Tensor, "H c J n"]]:
    """δ, the gradient of the scores, and the gradient of the values."""
    g, v = grad_read.unbind(1), inputs.values.unbind(1)  # c tensors [H, I, n] and [H, J, n]
    product, grad_values = torch.empty_like(weights), torch.empty_like(inputs.values)
    # a_ij = Σ_c g_ic v_jc: [H, I, 1, n] · [H, 1, J, n] -> [H, I, J, n]
    grad_weights = g[0].unsqueeze(2) * v[0].unsqueeze(1)
    for g_c, v_c in zip(g[1:], v[1:], strict=True):
        grad_weights.addcmul_(g_c.unsqueeze(2), v_c.unsqueeze(1))
    for c, g_c in enumerate(g):
        # Σ_i w_ij g_ic: [H, I, J, n] · [H, I, 1, n], summed over I -> [H, J, n]
        grad_values[:, c] = torch.mul(weights, g_c.unsqueeze(2), out=product).sum(1)
    # δ = w ⊙ a − w Σ_j (w ⊙ a), in the memory of a.
    weighted = grad_weights.mul_(weights)
    return weighted.addcmul_(weights, weighted.sum(2, keepdim=True), value=-1), grad_values
