"""Phase edges: how strongly two bodies belong together, from their phases at every time step."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.celestial.phase import Phases, relative_angle

PHASE_FEATURES = 7
"""What ``phase_features`` gives of a pair."""


def phase_features(phases: Phases) -> Float[Tensor, "7 n N N"]:
    """cos Δλ, sin Δλ, cos Δφ, sin Δφ, Δspeed, Δlatitude, log distance ratio of every ordered pair.

    The sines and the three differences change sign when the pair is turned round; the cosines do not.
    """
    # [n, N, N] each: motion of i less motion of j
    motion = (phases.motion.unsqueeze(-2) - phases.motion.unsqueeze(-3)).unbind(-1)
    return torch.stack([*relative_angle(phases.longitude), *relative_angle(phases.sign), *motion])


class PhaseEdgeNetwork(nn.Module):
    """σ(w · GELU(W [phase features, low-rank product of the two states] + b)) for every ordered pair.

    Features come first and pairs last, so that every pass runs over contiguous numbers.
    """

    def __init__(self, state_width: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.source = nn.Linear(state_width, rank, bias=False)
        self.target = nn.Linear(state_width, rank, bias=False)
        self.inner = nn.Linear(PHASE_FEATURES + rank, hidden)
        self.outer = nn.Linear(hidden, 1)

    def forward(self, phases: Phases, states: Float[Tensor, "n N C"]) -> Float[Tensor, "n N N"]:
        # [rank, n, N] each
        target, source = (linear(states).permute(2, 0, 1) for linear in (self.target, self.source))
        product = target.unsqueeze(3) * source.unsqueeze(2)  # [rank, n, N, N]
        features = torch.cat([phase_features(phases).to(product.dtype), product])
        # [hidden, features] @ [features, n · N · N], then [1, hidden] @ [hidden, n · N · N]
        hidden = torch.addmm(self.inner.bias.unsqueeze(1), self.inner.weight, features.flatten(1))
        edges = torch.addmm(self.outer.bias.unsqueeze(1), self.outer.weight, F.gelu(hidden))
        return torch.sigmoid(edges).view(features.shape[1:])
