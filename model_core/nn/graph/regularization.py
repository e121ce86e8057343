"""What the combined graph may be asked for beside a good forecast: few edges, and no jumps from day to day."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import GraphSettings
from model_core.nn.casting import at_least_fp32


class GraphRegularization(nn.Module):
    """Penalties on the combined graph A, each with its own weight.

    graph_sparsity   = weight · mean_ti(−Σ_j A_tij log A_tij) / log N     0: one edge a row; weight: all alike
    graph_smoothness = weight · N · mean_tij (A_tij − A_(t−1)ij)²         0: the graph does not move
    """

    def __init__(self, settings: GraphSettings) -> None:
        super().__init__()
        self.sparsity_weight = settings.sparsity_weight
        self.smoothness_weight = settings.smoothness_weight

    def forward(self, adjacency: Float[Tensor, "B S N N"]) -> dict[str, Float[Tensor, ""]]:
        """Both penalties, already weighted, fp32."""
        rows = at_least_fp32(adjacency)
        nodes = rows.shape[-1]
        # Of one row between 0 (one edge) and log N (all alike); entr(0) is 0, where −x log x alone would be NaN.
        entropy = torch.special.entr(rows).sum(-1).mean() / math.log(nodes)
        # A mean over N² edges that sum to 1 a row shrinks with N; times N it is the squared change of a row.
        change = rows.diff(dim=1).square().mean() * nodes
        return {
            "graph_sparsity": self.sparsity_weight * entropy,
            "graph_smoothness": self.smoothness_weight * change,
        }


class NoGraphRegularization(nn.Module):
    """Nothing is asked of the graph."""

    def forward(self, adjacency: Float[Tensor, "B S N N"]) -> dict[str, Float[Tensor, ""]]:
        return {}
