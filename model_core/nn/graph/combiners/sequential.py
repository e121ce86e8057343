"""SequentialCelestialGraphCombiner: the batched combiner written out, one time step after another."""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from model_core.nn.bundles import Edges
from model_core.nn.casting import wide
from model_core.nn.graph.combiners.axial_fusion import AxialFusionLayer
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner


class SequentialCelestialGraphCombiner(CelestialGraphCombiner):
    """Same parameters, same mathematics, no batching over time: slow, and easy to check by eye.

    Its state dict is that of ``CelestialGraphCombiner``; a test holds the two together to 1e-5.
    """

    def forward(
        self, edges: Edges, encoded: Float[Tensor, "B S D"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S N N"]:
        steps = [
            self._step(edges.values[:, step], encoded[:, step], context) for step in range(encoded.shape[1])
        ]
        return torch.stack(steps, dim=1)

    def _step(
        self, values: Float[Tensor, "B N N G"], encoded: Float[Tensor, "B D"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B N N"]:
        """The graph of one time step."""
        state = self.state(encoded + context)
        edges = self.values(values) + self.pairs + state[:, None, None, :]
        for layer in self.layers:
            edges = _axial(cast(AxialFusionLayer, layer), edges)
        return torch.softmax(wide(self.logit(edges).squeeze(-1)), dim=-1)


def _axial(layer: AxialFusionLayer, edges: Float[Tensor, "B N N E"]) -> Float[Tensor, "B N N E"]:
    """One layer: an edge i ← j, the mean edge into i, and the mean edge out of j."""
    into_target = layer.arriving(edges.mean(dim=2, keepdim=True))
    out_of_source = layer.leaving(edges.mean(dim=1, keepdim=True))
    return edges + F.relu(layer.edge(edges) + into_target + out_of_source)
