"""Data-driven graph learner: similarity of learned node embeddings, modulated by what the nodes carry."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, DataDrivenLearnerSettings
from model_core.nn.bundles import Proposal


class DataDrivenLearner(nn.Module):
    """A_ij = σ(t_i · s_j / √e) with t = target ⊙ (1 + W_t x), s = source ⊙ (1 + W_s x).

    Without W it is the static graph of source and target embeddings known from Graph WaveNet
    (Wu et al., 2019); W lets the window bend it.
    """

    def __init__(self, node_width: int, settings: DataDrivenLearnerSettings) -> None:
        super().__init__()
        width = settings.embedding_dim
        # Of length √e, so that t · s / √e has variance 1 whatever e is, and σ starts where it is steep.
        self.target = nn.Parameter(torch.randn(NUM_BODIES, width))
        self.source = nn.Parameter(torch.randn(NUM_BODIES, width))
        self.modulate = nn.Linear(node_width, 2 * width, bias=False)

    def forward(self, encoded: Float[Tensor, "B S D"], nodes: Float[Tensor, "B S N d"]) -> Proposal:
        target_change, source_change = self.modulate(nodes).chunk(2, dim=-1)
        target = self.target * (1 + target_change)  # [B, S, N, e]
        source = self.source * (1 + source_change)
        return Proposal(torch.sigmoid(target @ source.transpose(-1, -2) / math.sqrt(self.target.shape[-1])))
