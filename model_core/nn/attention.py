"""Attention in its three uses: among the nodes of one time step, along time per node, across sequences."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def attend_nodes(
    queries: Float[Tensor, "n I H c"],
    keys: Float[Tensor, "n J H c"],
    values: Float[Tensor, "n J H c"],
    bias: Float[Tensor, "n I J H"] | float = 0.0,
) -> tuple[Float[Tensor, "n I H c"], Float[Tensor, "n I J H"]]:
    """softmax_j(qᵢ·kⱼ / √c + bias) v for the few nodes of each of n time steps; also the weights.

    The heads stay the last axis of the scores and the few channels of a head are summed one by one:
    with 13 nodes and 2 channels a head, a batched matrix product spends its time on transposes.
    """
    queries = queries / math.sqrt(queries.shape[-1])
    scores = bias + sum(
        q.unsqueeze(2) * k.unsqueeze(1) for q, k in zip(queries.unbind(-1), keys.unbind(-1), strict=True)
    )
    weights = torch.softmax(scores, dim=2)
    read = [(weights * v.unsqueeze(1)).sum(2) for v in values.unbind(-1)]
    return torch.stack(read, dim=-1), weights


class NodeTemporalAttention(nn.Module):
    """Every node attends along its own time line: S × S, never S·N × S·N; one fused kernel.

    The node axis takes the place of the heads, so that no head dimension has to be split off.
    """

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.project = nn.Linear(node_width, 3 * node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)

    def forward(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]:
        queries, keys, values = (part.transpose(1, 2) for part in self.project(nodes).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2))


class MultiHeadAttention(nn.Module):
    """Queries read a memory, which may be their own sequence; keys have no bias (it would be dead)."""

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
        read = F.scaled_dot_product_attention(
            self._split(self.query(queries)), self._split(keys), self._split(values), is_causal=self.causal
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, x: Float[Tensor, "B Q D"]) -> Float[Tensor, "B H Q c"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
