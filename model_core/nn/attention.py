"""Attention along time per node, and across sequences; that among nodes is in ``node_attention``."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class NodeTemporalAttention(nn.Module):
    """Every node attends to its own past: S × S, never S·N × S·N; one fused kernel, causal.

    The node axis takes the place of the heads, so that no head dimension has to be split off.
    """

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.project = nn.Linear(node_width, 3 * node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)

    def forward(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]:
        # [B, S, N, d] -> [B, N, S, d] each: the kernel's [batch, heads, length, channels]
        queries, keys, values = (part.transpose(1, 2) for part in self.project(nodes).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(queries, keys, values, is_causal=True).transpose(1, 2))


class MultiHeadAttention(nn.Module):
    """Queries read a memory, which may be their own sequence.

    Keys have no bias: it adds the same q_i · b to all scores of a query, and the softmax takes that out again.
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
        self, queries: Float[Tensor, "B queries D"], memory: Float[Tensor, "B keys memory_width"]
    ) -> Float[Tensor, "B queries D"]:
        keys, values = self.memory(memory).chunk(2, dim=-1)
        # Queries and memory of equal length are one sequence: the kernel masks for itself, and no mask is stored.
        whole = queries.shape[1] == memory.shape[1]
        seen = self._seen(queries.shape[1], memory) if self.causal and not whole else None
        read = F.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(keys),
            self._split(values),
            attn_mask=seen,
            is_causal=self.causal and whole,
        )
        return self.out(read.transpose(1, 2).flatten(2))  # [B, H, queries, c] -> [B, queries, D]

    def _seen(
        self, queries: int, memory: Float[Tensor, "B keys memory_width"]
    ) -> Bool[Tensor, "queries keys"]:
        """True where a query may look; query i stands at position keys − queries + i of the memory."""
        everything = torch.ones(queries, memory.shape[1], dtype=torch.bool, device=memory.device)
        return everything.tril(memory.shape[1] - queries)

    def _split(self, x: Float[Tensor, "B length D"]) -> Float[Tensor, "B H length c"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
