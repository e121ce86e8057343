"""One vector for the state of the market: what the window as a whole looks like."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MarketContextEncoder(nn.Module):
    """Attention pooling over the encoder sequence, one weight per head and day, beside its last state."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, heads, bias=False)
        self.inner = nn.Linear(2 * width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, encoded: Float[Tensor, "B S D"]) -> Float[Tensor, "B D"]:
        tokens = self.norm(encoded)
        # [B, S, H]; each head pools its own c = D / H channels -> [B, H, c] -> [B, D]
        weights = torch.softmax(self.scores(tokens), dim=1)
        pooled = torch.einsum("bsh,bshc->bhc", weights, tokens.unflatten(-1, (self.heads, -1))).flatten(1)
        return self.outer(F.gelu(self.inner(torch.cat([pooled, tokens[:, -1]], dim=-1))))
