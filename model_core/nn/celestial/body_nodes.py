"""CelestialBodyNodes: node features of the thirteen bodies, and what the encoder reads from them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES
from model_core.nn.blocks import EMBEDDING_STD
from model_core.nn.recomputation import chunked_checkpoint
from model_core.sky.bodies import BODIES

READ_WIDTH_PER_HEAD = 4
"""Channels that a head reads of the bodies. The 8 heads' 32 are twice a node's 16; D = 208 in all, as in attention
elsewhere, would make every tensor [n, N, …] here more than six times as large."""


class CelestialBodyNodes(nn.Module):
    """node = learned embedding of the body + projection of its state."""

    names = BODIES

    def __init__(self, celestial_dim: int, node_width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(NUM_BODIES, node_width) * EMBEDDING_STD)
        self.project = nn.Linear(celestial_dim, node_width, bias=False)

    def forward(self, states: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N d"]:
        return self.embedding + self.project(states)


class LatentNodes(nn.Module):
    """The same thirteen nodes without a sky: an embedding each, equal at every time step."""

    names = tuple(f"latent {n}" for n in range(1, NUM_BODIES + 1))

    def __init__(self, node_width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(NUM_BODIES, node_width) * EMBEDDING_STD)

    def forward(self, states: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N d"]:
        return self.embedding.expand(*states.shape[:2], -1, -1)


class GatedBodyReader(nn.Module):
    """x + σ(gate(x)) ⊙ attention from the encoder state of a time step to its bodies."""

    def __init__(self, width: int, node_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * READ_WIDTH_PER_HEAD
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.bodies = nn.Linear(node_width, 2 * inner, bias=False)
        self.gate = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)

    def forward(
        self, encoded: Float[Tensor, "B S D"], nodes: Float[Tensor, "B S N d"]
    ) -> Float[Tensor, "B S D"]:
        (read,) = chunked_checkpoint(self, self._read, self.norm(encoded).flatten(0, 1), nodes.flatten(0, 1))
        return encoded + self.out(read).unflatten(0, encoded.shape[:2])

    def _read(
        self, encoded: Float[Tensor, "n D"], nodes: Float[Tensor, "n N d"]
    ) -> tuple[Float[Tensor, "n inner"]]:
        """The gated reading of each time step, heads side by side (inner = H · READ_WIDTH_PER_HEAD)."""
        query = self.query(encoded).unflatten(-1, (1, self.heads, -1))  # [n, 1, H, 4]
        # [n, N, H, 4] each
        keys, values = self.bodies(nodes).unflatten(-1, (2, self.heads, -1)).unbind(2)
        # [n, N, H, 1], a softmax over the bodies
        weights = torch.softmax((query * keys).sum(-1, keepdim=True) / math.sqrt(keys.shape[-1]), dim=1)
        return (torch.sigmoid(self.gate(encoded)) * (weights * values).sum(1).flatten(1),)
