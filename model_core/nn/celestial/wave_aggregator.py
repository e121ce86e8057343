"""CelestialWaveAggregator: the simple processor, a learned weighted mean of each body's own waves."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from model_core.data.inputs import ModelInputs
from model_core.nn.bundles import BodyStates
from model_core.nn.celestial.phase import wave_bodies

_NOT_READ = -1e9
"""Logit of a wave that a body does not read: its weight is exactly 0, and, other than with −∞, a body that reads none
gets even weights, which ``readers`` then makes 0, instead of NaN."""
BIAS_STD = 0.1
"""As in the phase-aware processor: enough to tell bodies without waves apart."""


class CelestialWaveAggregator(nn.Module):
    """state_n = Σ_k α_nk · x_k · v_k + b_n, with α_n = softmax over the waves of body n.

    Edges are σ(g · cos(state_i, state_j) + b_ij). No phase, no time, no attention: what the phase-aware
    processor has to beat. A body without waves is its bias.
    """

    readers: Float[Tensor, "K N"]
    wave: Int[Tensor, " readings"]
    body: Int[Tensor, " readings"]
    """Which wave is read by which body, one pair after the other."""

    def __init__(self, inputs: ModelInputs, celestial_dim: int) -> None:
        super().__init__()
        with torch.device(
            "cpu"
        ):  # also where the rest is only measured: on the device meta nothing has values
            readers = wave_bodies(inputs)
        wave, body = readers.nonzero(as_tuple=True)
        self.register_buffer("readers", readers.float(), persistent=False)
        self.register_buffer("wave", wave, persistent=False)
        self.register_buffer("body", body, persistent=False)
        waves, bodies = readers.shape
        self.importance = nn.Parameter(torch.zeros(len(wave)))
        # The mean of about 9 waves of unit size has deviation 1/3, and so have the states then.
        self.vectors = nn.Parameter(torch.randn(waves, celestial_dim))
        self.bias = nn.Parameter(torch.randn(bodies, celestial_dim) * BIAS_STD)
        self.edge_scale = nn.Parameter(torch.ones(()))
        self.edge_bias = nn.Parameter(torch.zeros(bodies, bodies))

    def forward(self, sky: Float[Tensor, "B S K"]) -> BodyStates:
        # The weighted mean as one matrix: [K, N, 1] · [K, 1, C] -> [K, N · C]
        mean = self.importances().unsqueeze(-1) * self.vectors.unsqueeze(1)
        states = (sky @ mean.flatten(1)).unflatten(-1, self.bias.shape) + self.bias
        unit = F.normalize(states, dim=-1)
        similarity = unit @ unit.transpose(-1, -2)
        return BodyStates(states, torch.sigmoid(self.edge_scale * similarity + self.edge_bias))

    def importances(self) -> Float[Tensor, "K N"]:
        """α: how much each wave counts for each body; columns sum to 1, or to 0 without waves."""
        logits = torch.full_like(self.readers, _NOT_READ)
        logits = logits.index_put((self.wave, self.body), self.importance.to(logits.dtype))
        return torch.softmax(logits, dim=0) * self.readers
