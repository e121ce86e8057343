"""Attention in its three uses: among the nodes of one time step, along time per node, across sequences."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


def attend_nodes(
    queries: Float[Tensor, "n I H c"],
    keys: Float[Tensor, "n J H c"],
    values: Float[Tensor, "n J H c"],
    bias: Float[Tensor, "n I J"] | None = None,
    slope: Float[Tensor, " H"] | None = None,
) -> tuple[Float[Tensor, "n I H c"], Float[Tensor, "H I J n"]]:
    """softmax_j(qᵢ·kⱼ / √c + slope_h · bias_ij) vⱼ for the few nodes of n time steps; also the weights.

    The time steps move to the last axis and the few channels of a head are summed one by one, so that
    every pass runs over n contiguous numbers, instead of 32,000 matrix products of 13 × 2 by 2 × 13.
    ``written_out_attention`` in the tests is the plain form.
    """
    queries, keys, values = (x.permute(2, 3, 1, 0).contiguous() for x in (queries, keys, values))
    queries = queries / math.sqrt(queries.shape[1])
    q, k = queries.unbind(1), keys.unbind(1)
    scores = q[0].unsqueeze(2) * k[0].unsqueeze(1)
    for q_c, k_c in zip(q[1:], k[1:], strict=True):
        scores = scores.addcmul_(q_c.unsqueeze(2), k_c.unsqueeze(1))
    if bias is not None and slope is not None:
        scores = scores.addcmul_(slope[:, None, None, None], bias.permute(1, 2, 0).contiguous())
    weights = torch.softmax(scores, dim=2)
    read = [(weights * v.unsqueeze(1)).sum(2) for v in values.unbind(1)]
    return torch.stack(read, dim=1).permute(3, 2, 0, 1), weights


class NodeTemporalAttention(nn.Module):
    """Every node attends to its own past: S × S, never S·N × S·N; one fused kernel, causal.

    The node axis takes the place of the heads, so that no head dimension has to be split off.
    """

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.project = nn.Linear(node_width, 3 * node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)

    def forward(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]:
        queries, keys, values = (part.transpose(1, 2) for part in self.project(nodes).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(queries, keys, values, is_causal=True).transpose(1, 2))


class MultiHeadAttention(nn.Module):
    """Queries read a memory, which may be their own sequence; keys have no bias (it would be dead).

    With ``causal``, the queries are the last ones of the memory and see nothing after themselves.
    """

    def __init__(self, width: int, heads: int, memory_width: int, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.query = nn.Linear(width, width, bias=False)
        self.memory = nn.Linear(memory_width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(
        self, queries: Float[Tensor, "B Q D"], memory: Float[Tensor, "B M Dm"]
    ) -> Float[Tensor, "B Q D"]:
        keys, values = self.memory(memory).chunk(2, dim=-1)
        whole = queries.shape[1] == memory.shape[1]  # then the kernel masks for itself, and no mask is stored
        seen = self._seen(queries.shape[1], memory) if self.causal and not whole else None
        read = F.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(keys),
            self._split(values),
            attn_mask=seen,
            is_causal=self.causal and whole,
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _seen(self, queries: int, memory: Float[Tensor, "B M Dm"]) -> Bool[Tensor, "Q M"]:
        everything = torch.ones(queries, memory.shape[1], dtype=torch.bool, device=memory.device)
        return everything.tril(memory.shape[1] - queries)

    def _split(self, x: Float[Tensor, "B Q D"]) -> Float[Tensor, "B H Q c"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
