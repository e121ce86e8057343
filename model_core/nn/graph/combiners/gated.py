"""GatedGraphCombiner: source graphs are gated as wholes, never edge by edge."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import CombinerSettings
from model_core.nn.bundles import Edges
from model_core.nn.casting import wide

STATISTICS = 4


class GatedGraphCombiner(nn.Module):
    """A = softmax_j(Σ_g gain_g · gate_g · A_g), gate = 2σ(network(statistics of A_g, context)).

    The network is shared by the graphs and sees each one through its statistics; ``gain`` (learned) sets
    how sharp a graph may make a row. An edge alone decides nothing: G gates a time step are all there is.
    """

    def __init__(self, sources: int, width: int, settings: CombinerSettings) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((sources,), 2.0))
        self.identity = nn.Parameter(torch.randn(sources, settings.edge_dim) * 0.5)
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
        """One graph from G graphs of any receivers i and senders j; rows sum to 1."""
        weights = self.gain * self.gates(values, context)
        return torch.softmax((wide(values) * weights[:, :, None, None, :]).sum(-1), dim=-1)

    def gates(
        self, values: Float[Tensor, "B S I J G"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S G"]:
        """How far each graph is open at each time step: 0 … 2, and 1 for an undecided network."""
        features = self.statistics(graph_statistics(values)) + self.identity
        features = features + self.context(context)[:, None, None, :]
        return 2 * torch.sigmoid(self.gate(F.gelu(features)).squeeze(-1))


def graph_statistics(values: Float[Tensor, "B S I J G"]) -> Float[Tensor, "B S G 4"]:
    """Mean, deviation, strongest and weakest edge of each graph."""
    mean = values.mean((2, 3))
    deviation = (values.var((2, 3), correction=0) + 1e-6).sqrt()
    return torch.stack([mean, deviation, values.amax((2, 3)), values.amin((2, 3))], dim=-1)
