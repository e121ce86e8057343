"""Covariates and targets as two kinds of nodes: bodies, and Open, High, Low, Close with their history."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.config.model import NUM_BODIES
from model_core.nn.attention import NodeTemporalAttention
from model_core.nn.blocks import EMBEDDING_STD, Dropout, FeedForward
from model_core.nn.graph.attention import AdjacencyAwareGraphAttention, log_adjacency
from model_core.nn.node_attention import attend_nodes, node_weights
from model_core.nn.recomputation import RunPolicy


class TargetNodes(nn.Module):
    """A node per target and day: its embedding, its displacement and that day's move."""

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(len(TARGETS), node_width) * EMBEDDING_STD)
        self.history = nn.Linear(2, node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)

    def forward(self, prices: Float[Tensor, "B S T"]) -> Float[Tensor, "B S T d"]:
        # [B, S, T]; the first day has no day before it, and its move counts as 0.
        moves = F.pad(prices.diff(dim=1), (0, 0, 1, 0))
        history = self.history(torch.stack([prices, moves], dim=-1))
        return self.out(F.gelu(self.embedding + history))


class TargetReader(nn.Module):
    """Targets read the bodies and each other at every time step, then look along their own time line."""

    def __init__(self, node_width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(node_width)
        self.query = nn.Linear(node_width, node_width, bias=False)
        self.memory = nn.Linear(node_width, 2 * node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)
        self.time_norm = nn.LayerNorm(node_width)
        self.time = NodeTemporalAttention(node_width)
        self.token_norm = nn.LayerNorm(len(TARGETS) * node_width)
        self.feed_forward = FeedForward(len(TARGETS) * node_width, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, targets: Float[Tensor, "B S T d"], bodies: Float[Tensor, "B S N d"]
    ) -> Float[Tensor, "B S T d"]:
        queries, memory = self._project(
            targets.flatten(0, 1), bodies.flatten(0, 1)
        )  # [n, T, d], [n, J, 2 · d]
        read = self.out(attend_nodes(queries, memory, self.heads)).unflatten(0, targets.shape[:2])
        targets = targets + self.dropout(read)
        targets = targets + self.dropout(self.time(self.time_norm(targets)))
        tokens = targets.flatten(2)  # [B, S, T · d]
        tokens = tokens + self.feed_forward(self.token_norm(tokens))
        return tokens.view_as(targets)

    def weights(
        self, targets: Float[Tensor, "n T d"], bodies: Float[Tensor, "n N d"]
    ) -> Float[Tensor, "H T J n"]:
        """How much each target reads from each of the N bodies and T targets, per head."""
        return node_weights(*self._project(targets, bodies), self.heads)

    def _project(
        self, targets: Float[Tensor, "n T d"], bodies: Float[Tensor, "n N d"]
    ) -> tuple[Float[Tensor, "n T d"], Float[Tensor, "n J 2*d"]]:
        nodes = self.norm(torch.cat([bodies, targets], dim=1))  # [n, J, d] with J = N + T
        return self.query(nodes[:, bodies.shape[1] :]), self.memory(nodes)


class EfficientCovariateInteraction(nn.Module):
    """Bodies interact among themselves (``layers`` graph layers); targets read the result and each other.

    No body reads a target, and nobody attends over the 118 waves: 13 × 13 + 4 × 17 pairs a day.
    """

    def __init__(
        self, node_width: int, heads: int, layers: int, hidden: int, dropout: float, run: RunPolicy
    ) -> None:
        super().__init__()
        self.run = run
        self.layers = nn.ModuleList(
            AdjacencyAwareGraphAttention(NUM_BODIES, node_width, heads, hidden, dropout)
            for _ in range(layers)
        )
        self.reader = TargetReader(node_width, heads, hidden, dropout)

    def forward(
        self,
        bodies: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
        adjacency: Float[Tensor, "B S N N"],
    ) -> tuple[Float[Tensor, "B S N d"], Float[Tensor, "B S T d"]]:
        bodies = self._interact(bodies, adjacency)
        return bodies, self.run(self.reader, targets, bodies)

    def target_to_body(
        self,
        bodies: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
        adjacency: Float[Tensor, "B S N N"],
    ) -> Float[Tensor, "B T N"]:
        """Mean attention from each target to each body, over days and heads; takes what forward takes."""
        bodies = self._interact(bodies, adjacency)
        weights = self.reader.weights(targets.flatten(0, 1), bodies.flatten(0, 1))  # [H, T, J, n]
        return _mean_over_days(weights[:, :, :NUM_BODIES], len(bodies))

    def _interact(
        self, bodies: Float[Tensor, "B S N d"], adjacency: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]:
        """The bodies after all graph layers: what the targets read."""
        log_graph = log_adjacency(adjacency)
        for layer in self.layers:
            bodies = self.run(layer, bodies, log_graph)
        return bodies


class FullInteraction(nn.Module):
    """All N + T nodes in one graph: bodies as the combiner linked them, targets linked to everybody."""

    def __init__(
        self, node_width: int, heads: int, layers: int, hidden: int, dropout: float, run: RunPolicy
    ) -> None:
        super().__init__()
        self.run = run
        nodes = NUM_BODIES + len(TARGETS)
        self.layers = nn.ModuleList(
            AdjacencyAwareGraphAttention(nodes, node_width, heads, hidden, dropout) for _ in range(layers - 1)
        )
        self.last = AdjacencyAwareGraphAttention(nodes, node_width, heads, hidden, dropout)

    def forward(
        self,
        bodies: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
        adjacency: Float[Tensor, "B S N N"],
    ) -> tuple[Float[Tensor, "B S N d"], Float[Tensor, "B S T d"]]:
        nodes, graph = self._before_last(bodies, targets, adjacency)
        nodes = self.run(self.last, nodes, graph)
        return nodes[:, :, :NUM_BODIES], nodes[:, :, NUM_BODIES:]

    def target_to_body(
        self,
        bodies: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
        adjacency: Float[Tensor, "B S N N"],
    ) -> Float[Tensor, "B T N"]:
        """Mean attention from each target to each body in the last layer, over days and heads."""
        nodes, graph = self._before_last(bodies, targets, adjacency)
        weights = self.last.graph.weights(nodes.flatten(0, 1), graph.flatten(0, 1))  # [H, J, J, n]
        return _mean_over_days(weights[:, NUM_BODIES:, :NUM_BODIES], len(bodies))

    def _before_last(
        self,
        bodies: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
        adjacency: Float[Tensor, "B S N N"],
    ) -> tuple[Float[Tensor, "B S J d"], Float[Tensor, "B S J J"]]:
        """All nodes after all layers but the last one, and the logarithm of their graph."""
        nodes, graph = torch.cat([bodies, targets], dim=2), self._extended(adjacency)
        for layer in self.layers:
            nodes = self.run(layer, nodes, graph)
        return nodes, graph

    def _extended(self, adjacency: Float[Tensor, "B S N N"]) -> Float[Tensor, "B S J J"]:
        """Logarithm of the graph, with rows and columns for the targets in which every edge weighs the same."""
        targets = len(TARGETS)
        nodes = NUM_BODIES + targets
        # A body's row keeps sum 1: N/(N + T) of it among the bodies, 1/(N + T) for each of the T targets.
        return log_adjacency(
            F.pad(adjacency * (NUM_BODIES / nodes), (0, targets, 0, targets), value=1 / nodes)
        )


def _mean_over_days(weights: Float[Tensor, "H T N n"], batch: int) -> Float[Tensor, "B T N"]:
    """Mean over heads, and over the days of each of ``batch`` windows."""
    return weights.mean(0).unflatten(-1, (batch, -1)).mean(-1).permute(2, 0, 1)
