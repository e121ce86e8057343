"""Phase edges: how strongly two bodies belong together, from their phases at every time step."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.celestial.phase import Phases, relative_angle

PHASE_FEATURES = 7


def phase_features(phases: Phases) -> Float[Tensor, "n N N 7"]:
    """cos Δλ, sin Δλ, cos Δφ, sin Δφ, Δspeed, Δlatitude, log distance ratio of every ordered pair.

    The sines and the three differences change sign when the pair is turned round; the cosines do not.
    """
    motion = phases.motion.unsqueeze(-2) - phases.motion.unsqueeze(-3)
    angles = (*relative_angle(phases.longitude), *relative_angle(phases.sign))
    return torch.cat([torch.stack(angles, dim=-1), motion], dim=-1)


class PhaseEdgeNetwork(nn.Module):
    """σ(w · GELU(W phase features + V low-rank product of the two states + b)) for every ordered pair."""

    def __init__(self, state_width: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.source = nn.Linear(state_width, rank, bias=False)
        self.target = nn.Linear(state_width, rank, bias=False)
        # Apart, so that no gradient is computed for the phases, which nothing learned has touched.
        self.inner = nn.Linear(PHASE_FEATURES, hidden)
        self.product = nn.Linear(rank, hidden, bias=False)
        self.outer = nn.Linear(hidden, 1)

    def forward(self, phases: Phases, states: Float[Tensor, "n N C"]) -> Float[Tensor, "n N N"]:
        product = self.target(states).unsqueeze(2) * self.source(states).unsqueeze(1)
        hidden = F.gelu(self.inner(phase_features(phases)) + self.product(product))
        return torch.sigmoid(self.outer(hidden).squeeze(-1))
