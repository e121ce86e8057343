"""Multi-scale patches: each wave's history cut into pieces of several lengths, then read by latent queries."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.blocks import EMBEDDING_STD
from model_core.nn.embedding import sinusoids


class PatchEmbedding(nn.Module):
    """token = W_p · (p days of one wave) + its age + embedding of the wave; all scales in one sequence.

    Patches do not overlap and are counted back from the anchor; the oldest one is filled up with the
    oldest day. The weights W_p are shared by the waves, so any S will do, and any p, even one above S.
    """

    def __init__(self, waves: int, width: int, lengths: tuple[int, ...]) -> None:
        super().__init__()
        self.lengths = lengths
        self.scales = nn.ModuleList(nn.Linear(length, width) for length in lengths)
        self.wave = nn.Parameter(torch.randn(waves, 1, width) * EMBEDDING_STD)
        self.norm = nn.LayerNorm(width)

    def forward(self, waves: Float[Tensor, "B S W"]) -> Float[Tensor, "B W patches d"]:
        series = waves.transpose(1, 2)  # [B, W, S]
        tokens = []
        for length, scale in zip(self.lengths, self.scales, strict=True):
            # Days that the oldest patch lacks, filled up with the oldest day; then [B, W, patches, length].
            missing = -series.shape[-1] % length
            patches = F.pad(series, (missing, 0), mode="replicate").unflatten(-1, (-1, length))
            embedded = scale(patches.flip(-2))  # newest patch first, [B, W, patches, d]
            tokens.append(embedded + sinusoids(embedded.shape[2], embedded.shape[3], 0, waves.device))
        return self.norm(torch.cat(tokens, dim=2) + self.wave)


class LatentReader(nn.Module):
    """node state of a wave = W [answers of some learned queries to the wave's patches]."""

    def __init__(self, width: int, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.memory = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(queries * width, width)

    def forward(self, tokens: Float[Tensor, "B W patches d"]) -> Float[Tensor, "B W d"]:
        keys, values = self.memory(tokens).chunk(2, dim=-1)
        # [B, W, queries, d] reads [B, W, patches, d]
        queries = self.queries.to(keys.dtype).expand(*tokens.shape[:2], -1, -1)
        return self.out(F.scaled_dot_product_attention(queries, keys, values).flatten(2))
