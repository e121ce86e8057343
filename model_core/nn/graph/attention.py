"""AdjacencyAwareGraphAttention: one encoder layer over the nodes, guided by the combined graph."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.attention import NodeTemporalAttention
from model_core.nn.blocks import Dropout, FeedForward
from model_core.nn.casting import at_least_fp32
from model_core.nn.node_attention import attend_nodes, node_weights

MIN_ADJACENCY = 1e-6
"""Keeps the logarithm finite where the graph has (almost) no edge: log 1e-6 = −13.8 closes it for a slope of 1.

The logarithm is taken in fp32. bf16 has 8 significant bits, so numbers from 8 to 16 lie 1/16 apart in it, and this one
would be off by up to 0.03.
"""


def log_adjacency(adjacency: Float[Tensor, "B S N N"]) -> Float[Tensor, "B S N N"]:
    """What the graph attention adds to its scores; taken once for all layers."""
    return (at_least_fp32(adjacency) + MIN_ADJACENCY).log()


class GraphAttention(nn.Module):
    """Attention among the nodes of a time step: softmax_j(qᵢ·kⱼ / √c + slope_h · log A_ij) v_j."""

    def __init__(self, node_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(node_width)
        self.project = nn.Linear(node_width, 3 * node_width, bias=False)
        # At 1, exp(score + log A) = A · exp(score): the graph weighs the attention. Heads may learn to heed it less.
        self.slope = nn.Parameter(torch.ones(heads))
        self.out = nn.Linear(node_width, node_width)

    def forward(
        self, nodes: Float[Tensor, "B S N d"], log_graph: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]:
        queries, memory = self._project(nodes.flatten(0, 1))  # [n, N, d], [n, N, 2 · d]
        read = attend_nodes(queries, memory, self.heads, log_graph.flatten(0, 1), self.slope)
        return self.out(read).unflatten(0, nodes.shape[:2])

    def weights(
        self, nodes: Float[Tensor, "n N d"], log_graph: Float[Tensor, "n N N"]
    ) -> Float[Tensor, "H N N n"]:
        """How much node i reads from node j, per head."""
        return node_weights(*self._project(nodes), self.heads, log_graph, self.slope)

    def _project(
        self, nodes: Float[Tensor, "n N d"]
    ) -> tuple[Float[Tensor, "n N d"], Float[Tensor, "n N 2*d"]]:
        width = nodes.shape[-1]
        queries, memory = self.project(self.norm(nodes)).split([width, 2 * width], dim=-1)
        return queries, memory


class AdjacencyAwareGraphAttention(nn.Module):
    """Graph attention per time step, temporal attention per node, feed-forward over all nodes of a step.

    ``log_graph`` is the logarithm of the adjacency (``log_adjacency``), each sample's own. Pre-norm and
    residual. The feed-forward sees the nodes side by side (N · d = D), which is the same memory, so nodes
    and encoder tokens never change their layout.
    """

    def __init__(self, nodes: int, node_width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.graph = GraphAttention(node_width, heads)
        self.time_norm = nn.LayerNorm(node_width)
        self.time = NodeTemporalAttention(node_width)
        self.token_norm = nn.LayerNorm(nodes * node_width)
        self.feed_forward = FeedForward(nodes * node_width, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, nodes: Float[Tensor, "B S N d"], log_graph: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]:
        nodes = nodes + self.dropout(self.graph(nodes, log_graph))
        nodes = nodes + self.dropout(self.time(self.time_norm(nodes)))
        tokens = nodes.flatten(2)  # [B, S, D], a view
        tokens = tokens + self.feed_forward(self.token_norm(tokens))
        return tokens.view_as(nodes)
