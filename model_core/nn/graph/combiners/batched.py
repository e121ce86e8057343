"""CelestialGraphCombiner: the source graphs become one, for all time steps at once."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, CombinerSettings
from model_core.nn.blocks import EMBEDDING_STD
from model_core.nn.bundles import Edges
from model_core.nn.casting import at_least_fp32
from model_core.nn.graph.combiners.axial_fusion import AxialFusionLayer
from model_core.nn.recomputation import chunked_checkpoint


class CelestialGraphCombiner(nn.Module):
    """Each edge is a vector: its G source values, its pair's embedding, the state of the time step.

    ``layers`` axial layers mix them; softmax over the sources j makes each row of the result sum to 1.
    Every chunk of time steps is recomputed in the backward pass, so no edge tensor is ever stored.
    """

    def __init__(self, sources: int, width: int, layers: int, settings: CombinerSettings) -> None:
        super().__init__()
        edge_dim = settings.edge_dim
        self.values = nn.Linear(sources, edge_dim, bias=False)
        self.pairs = nn.Parameter(torch.randn(NUM_BODIES, NUM_BODIES, edge_dim) * EMBEDDING_STD)
        self.state = nn.Linear(width, edge_dim, bias=False)
        self.layers = nn.ModuleList(AxialFusionLayer(edge_dim) for _ in range(layers))
        # No bias: it would add the same to every logit of a row, which the softmax takes out again.
        self.logit = nn.Linear(edge_dim, 1, bias=False)

    def forward(
        self, edges: Edges, encoded: Float[Tensor, "B S D"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S N N"]:
        state = self.state(encoded + context.unsqueeze(1))  # [B, S, E]
        (adjacency,) = chunked_checkpoint(self, self.combine, edges.values.flatten(0, 1), state.flatten(0, 1))
        return adjacency.unflatten(0, encoded.shape[:2])

    def combine(
        self, values: Float[Tensor, "n N N G"], state: Float[Tensor, "n E"]
    ) -> tuple[Float[Tensor, "n N N"]]:
        """Adjacency of each of n time steps, from its source values and projected state."""
        edges = self.values(values) + self.pairs + state[:, None, None, :]  # [n, N, N, E]
        for layer in self.layers:
            edges = layer(edges)
        return (torch.softmax(at_least_fp32(self.logit(edges).squeeze(-1)), dim=-1),)
