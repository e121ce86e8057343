"""Dynamic adjacency: bodies whose node features point the same way at a time step."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.bundles import Proposal


class DynamicAdjacency(nn.Module):
    """A_ij = σ(W_q x_i · W_k x_j / √d + b), at every time step."""

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.target = nn.Linear(node_width, node_width, bias=False)
        self.source = nn.Linear(node_width, node_width, bias=False)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, encoded: Float[Tensor, "B S D"], nodes: Float[Tensor, "B S N d"]) -> Proposal:
        # [B, S, N, d] @ [B, S, d, N] -> [B, S, N, N]
        scores = self.target(nodes) @ self.source(nodes).transpose(-1, -2) / math.sqrt(nodes.shape[-1])
        return Proposal(torch.sigmoid(scores + self.bias))
