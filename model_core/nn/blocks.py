"""Small bricks: dropout, feed-forward, and causal temporal mixers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EMBEDDING_STD = 0.5
"""Initial deviation of a learned vector that tells nodes, pairs or waves apart.

It is added to projections of what the node carries. A fresh ``nn.Linear`` turns inputs of unit variance into
outputs of variance 1/3, a deviation of 0.58 (its weights are uniform within ±1/√inputs): at half, neither of
the two drowns the other.
"""


class Dropout(nn.Module):
    """Zeroes each number with probability ``p`` (to 1/65536) in training and rescales the rest.

    On a CPU, four decisions come from every 64 random bits, where torch's own dropout draws a number for
    each. On a GPU and in a compiled model it is torch's.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        if not self.training or self.p == 0 or x.is_cuda or torch.compiler.is_compiling():
            return F.dropout(x, self.p, self.training)
        # 16 bits decide on one number: it goes if they fall among the lowest p · 2¹⁶ of their 2¹⁶ values.
        dropped = round(self.p * 2**16)
        # ⌈numbers / 4⌉ words over the whole range of int64; its upper end, 2⁶³, can only be given as None.
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        draws = bits.view(torch.int16)[: x.numel()].view(x.shape)  # each of −2¹⁵ … 2¹⁵ − 1 equally likely
        kept = (draws >= dropped - 2**15).to(x.dtype)
        # Divided by the share that is really kept, p rounded to 1/65536, so that the mean stays.
        return x * (kept * (2**16 / (2**16 - dropped)))


class FeedForward(nn.Module):
    """x → W₂ GELU(W₁ x), with dropout on the way out."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return self.dropout(self.outer(F.gelu(self.inner(x))))


class CausalConvMixer(nn.Module):
    """Depthwise causal convolution over time, shared by the bodies: y_t = Σ_k w_k ⊙ x_{t−k}.

    Written as shifted products, since the time axis is not the last one and a copy costs more.
    """

    def __init__(self, width: int, kernel: int = 4) -> None:
        super().__init__()
        # Neighboring days are nearly alike, so the taps add up like a random walk: √kernel / kernel = 0.5 of the
        # input for 4 taps, less than the state that the result is added to.
        self.taps = nn.Parameter(torch.randn(kernel, width) / kernel)

    def forward(self, x: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N C"]:
        mixed = x * self.taps[0]
        for lag in range(1, self.taps.shape[0]):
            # The pairs of the pad count from the last axis: nothing in C and N, ``lag`` zeros before S.
            mixed = mixed + F.pad(x[:, :-lag], (0, 0, 0, 0, lag, 0)) * self.taps[lag]
        return mixed


class CausalGRUMixer(nn.Module):
    """One GRU over time for all bodies at once (they are its batch)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Float[Tensor, "B S N C"]) -> Float[Tensor, "B S N C"]:
        batch, steps, nodes, width = x.shape
        series = x.transpose(1, 2).reshape(batch * nodes, steps, width)  # [B · N, S, C]
        mixed, _ = self.gru(series)
        return mixed.view(batch, nodes, steps, width).transpose(1, 2)
