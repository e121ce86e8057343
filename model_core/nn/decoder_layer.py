"""DecoderLayer: known days and horizon days read each other, the encoder, and the bodies."""

from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.attention import MultiHeadAttention
from model_core.nn.blocks import Dropout, FeedForward


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to encoder and bodies, GELU feed-forward; pre-norm, residual.

    ``causal`` keeps every position from seeing later ones, as the sequential head needs; otherwise the
    horizon is decoded as a whole. Only the last ``kept`` positions are computed: nobody reads the known
    days after the last layer.
    """

    def __init__(
        self, width: int, node_width: int, heads: int, hidden: int, dropout: float, causal: bool
    ) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = MultiHeadAttention(width, heads, width, causal)
        self.cross_norm = nn.LayerNorm(width)
        self.encoder_attention = MultiHeadAttention(width, heads, width)
        self.body_attention = MultiHeadAttention(width, heads, node_width)
        self.token_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        tokens: Float[Tensor, "B tokens D"],
        encoded: Float[Tensor, "B S D"],
        bodies: Float[Tensor, "B N d"],
        kept: int,
    ) -> Float[Tensor, "B kept D"]:
        # All tokens are read; only the kept ones ask and are carried on: [B, tokens, D] -> [B, kept, D].
        normed = self.self_norm(tokens)
        tokens = tokens[:, -kept:] + self.dropout(self.self_attention(normed[:, -kept:], normed))
        normed = self.cross_norm(tokens)
        read = self.encoder_attention(normed, encoded) + self.body_attention(normed, bodies)
        tokens = tokens + self.dropout(read)
        return tokens + self.feed_forward(self.token_norm(tokens))
