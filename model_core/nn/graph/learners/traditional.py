"""Traditional graph learner: a network from the encoder state of a time step to a graph."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, TraditionalLearnerSettings
from model_core.nn.bundles import Proposal


class TraditionalLearner(nn.Module):
    """A_ij = σ(l_i(h) · r_j(h) / √rank + b_ij) with l, r linear in the encoder state h.

    The rank keeps the last layer at 2·N·rank outputs instead of a hidden layer before N² of them.
    """

    def __init__(self, width: int, settings: TraditionalLearnerSettings) -> None:
        super().__init__()
        self.rank = settings.rank
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 2 * NUM_BODIES * settings.rank)
        self.bias = nn.Parameter(torch.zeros(NUM_BODIES, NUM_BODIES))

    def forward(self, encoded: Float[Tensor, "B S D"], nodes: Float[Tensor, "B S N d"]) -> Proposal:
        # [B, S, N, rank] each
        left, right = self.project(self.norm(encoded)).unflatten(-1, (2, NUM_BODIES, self.rank)).unbind(2)
        scores = left @ right.transpose(-1, -2) / math.sqrt(self.rank)
        return Proposal(torch.sigmoid(scores + self.bias))
