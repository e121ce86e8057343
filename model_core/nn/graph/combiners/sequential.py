"""SequentialCelestialGraphCombiner: the batched combiner written out, one time step after another."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from model_core.nn.bundles import Edges
from model_core.nn.casting import at_least_fp32
from model_core.nn.graph.combiners.axial_fusion import AxialFusionLayer
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner


class SequentialCelestialGraphCombiner(CelestialGraphCombiner):
    """Same parameters, same mathematics, no batching over time: slow, and easy to check by eye.

    Its state dict is that of ``CelestialGraphCombiner``; a test holds the two together to 1e-5, which is what
    fp32 leaves of sums in another order.
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
        state = self.state(encoded + context)  # [B, E]
        edges = self.values(values) + self.pairs + state[:, None, None, :]  # [B, N, N, E]
        for layer in self.layers:
            edges = cast(AxialFusionLayer, layer).reference(edges)
        return torch.softmax(at_least_fp32(self.logit(edges).squeeze(-1)), dim=-1)
