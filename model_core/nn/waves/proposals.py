"""Graph proposals of the base model: four opinions on who hears whom along wave → transition → target."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS

SQUARE_FLOOR = 1e-6
"""Added to a mean of squared correlations: √0 has no finite gradient. By chance alone 250 days correlate by 0.06, whose
square is 4e-3."""


@dataclass(frozen=True)
class WaveFeatures:
    """What the proposals may look at."""

    waves: Float[Tensor, "B V d"]
    targets: Float[Tensor, "B T d"]
    wave_phases: Float[Tensor, "B V phases"]
    target_phases: Float[Tensor, "B T phases"]
    influence: Float[Tensor, "B V T lags"]


@dataclass(frozen=True)
class PathGraph:
    """Edge strengths of the two hops; ``[receiver, sender]``, not normalized."""

    into_transition: Float[Tensor, "B R V"]
    into_target: Float[Tensor, "B T R"]


class StateProposal(nn.Module):
    """Nodes whose states point the same way: σ(W_q receiver · W_k sender / √d), transitions by query."""

    def __init__(self, transitions: int, width: int) -> None:
        super().__init__()
        # As long as a state of unit channels, √d: with the division by √d the scores start with deviation about 0.6.
        self.transitions = nn.Parameter(torch.randn(transitions, width))
        self.sender = nn.Linear(width, width, bias=False)
        self.receiver = nn.Linear(width, width, bias=False)

    def forward(self, features: WaveFeatures) -> PathGraph:
        # [R, d] @ [B, d, V] -> [B, R, V] and [B, T, d] @ [d, R] -> [B, T, R]
        unit = math.sqrt(features.waves.shape[-1])
        into_transition = self.transitions @ self.sender(features.waves).transpose(1, 2)
        into_target = self.receiver(features.targets) @ self.transitions.T
        return PathGraph(torch.sigmoid(into_transition / unit), torch.sigmoid(into_target / unit))


class LearnedProposal(nn.Module):
    """A graph that is the same for every window: one learned number per edge."""

    def __init__(self, waves: int, transitions: int) -> None:
        super().__init__()
        # Logits of deviation 1: edges between 0.12 and 0.88, different from the start, none of them closed.
        self.into_transition = nn.Parameter(torch.randn(transitions, waves))
        self.into_target = nn.Parameter(torch.randn(len(TARGETS), transitions))

    def forward(self, features: WaveFeatures) -> PathGraph:
        batch = len(features.waves)
        return PathGraph(
            torch.sigmoid(self.into_transition).expand(batch, -1, -1),
            torch.sigmoid(self.into_target).expand(batch, -1, -1),
        )


class PhaseProposal(nn.Module):
    """Coherence of a node's phases with those that a transition listens for, in [−1, 1]."""

    def __init__(self, transitions: int, frequencies: int) -> None:
        super().__init__()
        # Only the direction counts: it is normalized below.
        self.transitions = nn.Parameter(torch.randn(transitions, 2 * frequencies))

    def forward(self, features: WaveFeatures) -> PathGraph:
        listened = F.normalize(self.transitions, dim=-1)
        return PathGraph(listened @ features.wave_phases.transpose(1, 2), features.target_phases @ listened.T)


class InfluenceProposal(nn.Module):
    """Waves that ran ahead of the targets: Σ_{t, lag} profile_r(t, lag) · correlation(wave, t, lag).

    A target hears a transition as far as its profile weighs the lags at which anything led that target.
    """

    def __init__(self, transitions: int, lags: int) -> None:
        super().__init__()
        # Divided by √lags, so that a sum over more lags does not start larger.
        self.profile = nn.Parameter(torch.randn(transitions, len(TARGETS), lags) / math.sqrt(lags))

    def forward(self, features: WaveFeatures) -> PathGraph:
        influence = features.influence
        # Root mean square over the waves, [B, T, lags]: how far anything at all led a target.
        led = (influence.square().mean(1) + SQUARE_FLOOR).sqrt()
        return PathGraph(
            torch.einsum("bvtg,rtg->brv", influence, self.profile),
            torch.einsum("btg,rtg->btr", led, self.profile),
        )
