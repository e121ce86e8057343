"""Aspect edges: pairs of bodies that stand at one of the five classical angles to each other."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from model_core.data.inputs import ModelInputs
from model_core.nn.bundles import BodyStates
from model_core.nn.celestial.phase import BodyPhases, body_columns, relative_angle
from model_core.nn.recomputation import chunked_checkpoint
from model_core.sky.aspects import ASPECTS

MIN_EXPONENT = -40.0
"""Least exponent of an aspect: exp(-40) = 4e-18, nothing beside the strengths.

Below exp(-87) fp32 numbers are denormal, and a processor computes ten times as slowly with them; a pair 60° off an
aspect with an orb of 4° has an exponent of -112.
"""


class AspectEdges(nn.Module):
    """A_ij = Σ_a strength_a · exp(−(|Δλ_ij| − angle_a)² / 2 orb_a²), symmetric, 0 on the diagonal.

    Strengths (signed) and orbs are learned from the documented values of ``model_core.sky.aspects``.
    """

    pairs: Bool[Tensor, "N N"]
    angle: Float[Tensor, " aspects"]

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.phases = BodyPhases(inputs)
        has = [column is not None for column in body_columns(inputs)["longitude_cos"]]
        # From plain values: a comparison of tensors on the meta device costs more than a second of imports.
        pairs = torch.tensor([[a and b and i != j for j, b in enumerate(has)] for i, a in enumerate(has)])
        self.register_buffer("pairs", pairs, persistent=False)
        angle = torch.tensor([math.radians(aspect.angle_deg) for aspect in ASPECTS])
        self.register_buffer("angle", angle, persistent=False)
        self.strength = nn.Parameter(torch.tensor([aspect.strength for aspect in ASPECTS]))
        self.log_orb = nn.Parameter(
            torch.tensor([math.log(math.radians(aspect.orb_deg)) for aspect in ASPECTS])
        )

    def forward(self, sky: Float[Tensor, "B S K"], bodies: BodyStates) -> Float[Tensor, "B S N N"]:
        (edges,) = chunked_checkpoint(self, self._aspects, sky.flatten(0, 1))
        return edges.unflatten(0, sky.shape[:2])

    def _aspects(self, sky: Float[Tensor, "n K"]) -> tuple[Float[Tensor, "n N N"]]:
        cos, sin = relative_angle(self.phases(sky).longitude)  # [n, N, N] each
        # A pair without angles is put at 0°, far from the origin where atan2 has no gradient.
        separation = torch.atan2(sin.abs(), torch.where(self.pairs, cos, 1.0))
        # Aspects first: every pass and every sum over the pairs then runs over contiguous numbers.
        # [aspects, n, N, N]
        squared = (separation - self.angle[:, None, None, None]).square()
        exponent = squared * (-0.5 * torch.exp(-2 * self.log_orb))[:, None, None, None]
        influence = torch.exp(exponent.clamp_min(MIN_EXPONENT))
        # Σ_a strength_a · influence_a: [n · N · N, aspects] @ [aspects]
        return (torch.mv(influence.flatten(1).T, self.strength).view_as(separation) * self.pairs,)


class PhaseGraph(nn.Module):
    """The processor's phase edges as a source graph."""

    def forward(self, sky: Float[Tensor, "B S K"], bodies: BodyStates) -> Float[Tensor, "B S N N"]:
        return bodies.edges
