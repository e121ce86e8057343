"""HierarchicalTemporalSpatialMapper: what each body makes of the window at several time resolutions."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, HierarchicalMapperSettings

LEVEL_STD = 0.1
"""Initial deviation of a level's vector: little beside the normed tokens that it is added to (deviation 1), since
it only has to tell the levels apart."""


class HierarchicalTemporalSpatialMapper(nn.Module):
    """x + W softmax(q_n · k / √d) v: one query per body over a pyramid of the whole window.

    Level f of the pyramid holds means of f days (all bodies side by side, N · d = D), counted back from
    the anchor; the oldest mean may cover fewer. The query is a learned vector plus the body's last state.
    The summary [B, N, d] is the same for every day, so this part is not causal within the window.
    """

    def __init__(self, width: int, settings: HierarchicalMapperSettings) -> None:
        super().__init__()
        node_width = width // NUM_BODIES
        self.factors = settings.pool_factors
        self.norm = nn.LayerNorm(node_width)
        # As long as a normed state, √d, so that q · k / √d starts with a variance near that of the keys.
        self.queries = nn.Parameter(torch.randn(NUM_BODIES, node_width))
        self.levels = nn.Parameter(torch.randn(len(self.factors), width) * LEVEL_STD)
        self.last_state = nn.Linear(node_width, node_width, bias=False)
        self.memory = nn.Linear(width, 2 * node_width, bias=False)
        self.out = nn.Linear(node_width, node_width)

    def forward(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]:
        normed = self.norm(nodes)
        queries = self.queries + self.last_state(normed[:, -1])  # [B, N, d]
        keys, values = self.memory(self._pyramid(normed.flatten(2))).chunk(2, dim=-1)
        # [B, N, d]: one head, whose keys are the means of all levels
        summary = F.scaled_dot_product_attention(queries.to(keys.dtype), keys, values)
        return nodes + self.out(summary).unsqueeze(1)

    def _pyramid(self, tokens: Float[Tensor, "B S D"]) -> Float[Tensor, "B means D"]:
        """Means over f days for every factor f, all levels in one sequence, newest first in each."""
        newest_first = tokens.flip(1).transpose(1, 2)  # [B, D, S], as pooling wants it
        levels = [
            F.avg_pool1d(newest_first, factor, factor, ceil_mode=True).transpose(1, 2) + level
            for factor, level in zip(self.factors, self.levels, strict=True)
        ]
        return torch.cat(levels, dim=1)
