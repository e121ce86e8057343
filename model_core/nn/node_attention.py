"""Attention among the few nodes of each time step, with a backward pass of its own."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from model_core.nn.blocks import pieces
from model_core.nn.casting import wide


def attend_nodes(
    queries: Float[Tensor, "n I d"],
    memory: Float[Tensor, "n J 2*d"],
    heads: int,
    bias: Float[Tensor, "n I J"] | None = None,
    slope: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "n I d"]:
    """softmax_j(qᵢ·kⱼ / √c + slope_h · bias_ij) vⱼ for the few nodes of n time steps.

    The time steps move to the last axis and the few channels c = d / H of a head are summed one by one, so
    that every pass runs over n contiguous numbers, instead of 32,000 matrix products of 13 × 2 by 2 × 13.
    The weights are kept for the backward pass and everything else is derived again from the inputs, in pieces that
    stay in the cache (on a GPU in one). Scores and sums have at least 32 bits under autocast, too.
    ``written_out_attention`` in the tests is the plain form.

    Args:
        memory: keys, then values, side by side.
        bias: added to the scores of every head, times the head's ``slope``; both or neither.
    """
    read: Tensor = _AttendNodes.apply(queries, memory, bias, slope, heads)  # type: ignore[no-untyped-call]
    return read


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
    """The inputs of one piece, time steps last."""

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
            None if bias is None else wide(bias).permute(1, 2, 0).contiguous(),
        )


def _steps_last(x: Float[Tensor, "n I d"], heads: int) -> Float[Tensor, "H c I n"]:
    return wide(x).unflatten(-1, (heads, -1)).permute(2, 3, 1, 0).contiguous()


def _steps_first(x: Float[Tensor, "H c I n"]) -> Float[Tensor, "n I d"]:
    return x.permute(3, 2, 0, 1).flatten(2)


def _weights(piece: _Heads, slope: Tensor | None) -> Float[Tensor, "H I J n"]:
    q, k = piece.queries.unbind(1), piece.keys.unbind(1)
    scores = q[0].unsqueeze(2) * k[0].unsqueeze(1)
    for q_c, k_c in zip(q[1:], k[1:], strict=True):
        scores = scores.addcmul_(q_c.unsqueeze(2), k_c.unsqueeze(1))
    if piece.bias is not None and slope is not None:
        scores = scores.addcmul_(wide(slope)[:, None, None, None], piece.bias)
    return torch.softmax(scores, dim=2)


class _AttendNodes(torch.autograd.Function):
    """Autograd's own backward pass of ``_weights`` and the sum stores and copies each product over the pairs."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, memory: Tensor, bias: Tensor | None, slope: Tensor | None, heads: int
    ) -> Tensor:
        kept = []
        read = torch.empty_like(queries)
        for piece in pieces(queries):
            inputs = _Heads.of(queries[piece], memory[piece], None if bias is None else bias[piece], heads)
            weights = _weights(inputs, slope)
            product, sums = torch.empty_like(weights), torch.empty_like(inputs.queries)
            for c, values in enumerate(inputs.values.unbind(1)):
                sums[:, c] = torch.mul(weights, values.unsqueeze(1), out=product).sum(2)
            read[piece] = _steps_first(sums)
            kept.append(weights)
        ctx.heads = heads
        ctx.save_for_backward(queries, memory, bias, slope, *kept)
        return read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        queries, memory, bias, slope, *kept = ctx.saved_tensors
        to_queries, to_memory = torch.empty_like(queries), torch.empty_like(memory)
        to_bias = None if bias is None else torch.empty_like(bias)
        to_slope = None if slope is None else torch.zeros_like(slope)
        for piece, weights in zip(pieces(queries), kept, strict=True):
            inputs = _Heads.of(
                queries[piece], memory[piece], None if bias is None else bias[piece], ctx.heads
            )
            scores, to_values = _scores_gradient(inputs, weights, _steps_last(gradient[piece], ctx.heads))
            to_q, to_k = torch.empty_like(inputs.queries), torch.empty_like(inputs.keys)
            product = torch.empty_like(scores)
            for c in range(to_q.shape[1]):
                to_q[:, c] = torch.mul(scores, inputs.keys[:, c].unsqueeze(1), out=product).sum(2)
                to_k[:, c] = torch.mul(scores, inputs.queries[:, c].unsqueeze(2), out=product).sum(1)
            to_queries[piece] = _steps_first(to_q.div_(math.sqrt(to_q.shape[1])))
            to_memory[piece] = torch.cat([_steps_first(to_k), _steps_first(to_values)], dim=-1)
            if inputs.bias is not None and slope is not None and to_bias is not None and to_slope is not None:
                per_head = scores.flatten(1)
                to_slope += per_head @ inputs.bias.flatten()
                to_bias[piece] = (wide(slope) @ per_head).view_as(inputs.bias).permute(2, 0, 1)
        return to_queries, to_memory, to_bias, to_slope, None


def _scores_gradient(
    inputs: _Heads, weights: Float[Tensor, "H I J n"], gradient: Float[Tensor, "H c I n"]
) -> tuple[Float[Tensor, "H I J n"], Float[Tensor, "H c J n"]]:
    """Gradients of the scores, w ⊙ (g − Σ_j w ⊙ g) with g that of the weights, and of the values."""
    arriving, values = gradient.unbind(1), inputs.values.unbind(1)
    product, to_values = torch.empty_like(weights), torch.empty_like(inputs.values)
    to_weights = arriving[0].unsqueeze(2) * values[0].unsqueeze(1)
    for g_c, v_c in zip(arriving[1:], values[1:], strict=True):
        to_weights.addcmul_(g_c.unsqueeze(2), v_c.unsqueeze(1))
    for c, g_c in enumerate(arriving):
        to_values[:, c] = torch.mul(weights, g_c.unsqueeze(2), out=product).sum(1)
    to_scores = to_weights.mul_(weights)
    return to_scores.addcmul_(weights, to_scores.sum(2, keepdim=True), value=-1), to_values
