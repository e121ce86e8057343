"""GatedGraphCombiner: source graphs are gated as wholes, never edge by edge."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import CombinerSettings
from model_core.nn.blocks import EMBEDDING_STD
from model_core.nn.bundles import Edges
from model_core.nn.casting import at_least_fp32

STATISTICS = 4
"""Numbers that ``graph_statistics`` gives of a graph."""
START_GAIN = 2.0
"""Of strengths in [0, 1]: under a gate of 1, the strongest edge of a row starts e² = 7.4 times as heavy as none."""
VARIANCE_FLOOR = 1e-6
"""A graph of equal edges has variance 0, where the square root has no finite gradient; its deviation reads as 0.001."""


class GatedGraphCombiner(nn.Module):
    """A = softmax_j(Σ_g gain_g · gate_g · A_g), gate = 2σ(network(statistics of A_g, context)).

    The network is shared by the graphs and sees each one through its statistics; ``gain`` (learned) sets
    how sharp a graph may make a row. An edge alone decides nothing: G gates a time step are all there is.
    """

    def __init__(self, sources: int, width: int, settings: CombinerSettings) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((sources,), START_GAIN))
        self.identity = nn.Parameter(torch.randn(sources, settings.edge_dim) * EMBEDDING_STD)
        self.statistics = nn.Linear(STATISTICS, settings.edge_dim, bias=False)
        self.context = nn.Linear(width, settings.edge_dim, bias=False)
        self.gate = nn.Linear(settings.edge_dim, 1)

    def forward(
        self, edges: Edges, encoded: Float[Tensor, "B S D"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S N N"]:
        return self.mix(edges.values, context)

    def mix(
        self, values: Float[Tensor, "B S I J G"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S I J"]:
        """One graph from G graphs of any receivers I and senders J; rows sum to 1."""
        weights = self.gain * self.gates(values, context)  # [B, S, G]
        return torch.softmax((at_least_fp32(values) * weights[:, :, None, None, :]).sum(-1), dim=-1)

    def gates(
        self, values: Float[Tensor, "B S I J G"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S G"]:
        """How far each graph is open at each time step: 0 … 2, and 1 for an undecided network."""
        features = self.statistics(graph_statistics(values)) + self.identity  # [B, S, G, E]
        features = features + self.context(context)[:, None, None, :]
        return 2 * torch.sigmoid(self.gate(F.gelu(features)).squeeze(-1))


def graph_statistics(values: Float[Tensor, "B S I J G"]) -> Float[Tensor, "B S G 4"]:
    """Mean, deviation, strongest and weakest edge of each graph."""
    mean = values.mean((2, 3))
    deviation = (values.var((2, 3), correction=0) + VARIANCE_FLOOR).sqrt()
    return torch.stack([mean, deviation, values.amax((2, 3)), values.amin((2, 3))], dim=-1)
