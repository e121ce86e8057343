"""Where each body stands: the raw quantities of every body, found by name among the sky waves."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from model_core.data.inputs import ModelInputs
from model_core.sky.bodies import BODIES
from model_core.sky.waves import Quantity

_QUANTITIES: tuple[Quantity, ...] = (
    "longitude_cos",
    "longitude_sin",
    "sign_cos",
    "sign_sin",
    "speed",
    "latitude",
    "distance",
)
_WHEN_MISSING: dict[Quantity, float] = {"distance": 1.0}
"""Value of a quantity that a body has no wave for; 0 unless it stands here (the log of 1 au is 0)."""
_SPEED_UNIT_DEG_PER_DAY = 10.0
_LATITUDE_UNIT_DEG = 10.0
"""They bring motions to the size of sines and cosines: the Moon, by far the fastest, moves 12° to 15° a day, and Pluto,
the farthest from the ecliptic, reaches a latitude of 17°."""
_MIN_DISTANCE_AU = 1e-3
"""A perturbed input may ask for a distance of 0 or less; no body comes nearer than the Moon, 0.0024 au."""


def wave_bodies(inputs: ModelInputs) -> Bool[Tensor, "K N"]:
    """Which body reads which sky wave; a wave without a body (the ascendant's) is read by all."""
    sky = [wave for wave in inputs.waves if wave.kind == "sky"]
    return torch.tensor([[wave.body is None or wave.body == body for body in BODIES] for wave in sky])


def body_columns(inputs: ModelInputs) -> dict[Quantity, list[int | None]]:
    """By quantity: each body's column among the sky waves, or None where it has no such wave."""
    sky = [wave for wave in inputs.waves if wave.kind == "sky"]
    position = {(wave.body, wave.quantity): k for k, wave in enumerate(sky)}
    return {quantity: [position.get((body, quantity)) for body in BODIES] for quantity in _QUANTITIES}


@dataclass(frozen=True)
class Phases:
    """Position and motion of every body, in natural units; angles as cosine and sine."""

    longitude: Float[Tensor, "*B N 2"]
    """cos λ, sin λ of the ecliptic longitude; (0, 0) for a body without waves."""
    sign: Float[Tensor, "*B N 2"]
    """cos φ, sin φ of the phase within the zodiac sign, φ = 12 λ."""
    motion: Float[Tensor, "*B N 3"]
    """Speed in 10 °/day, latitude in 10 °, natural log of the distance in au."""


class BodyPhases(nn.Module):
    """Gathers the quantities of all bodies from the sky waves and undoes their scaling."""

    columns: Int[Tensor, " quantities*bodies"]
    """Column among the sky waves of each quantity of each body, quantity by quantity."""
    mean: Float[Tensor, "quantities N"]
    std: Float[Tensor, "quantities N"]

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        sky = [i for i, wave in enumerate(inputs.waves) if wave.kind == "sky"]
        columns, means, stds = [], [], []
        for quantity, row in body_columns(inputs).items():
            missing = _WHEN_MISSING.get(quantity, 0.0)
            # A column of zeros is appended behind the waves.
            columns += [len(sky) if k is None else k for k in row]
            means.append([missing if k is None else float(inputs.wave_mean[sky[k]]) for k in row])
            stds.append([1.0 if k is None else float(inputs.wave_std[sky[k]]) for k in row])
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("mean", torch.tensor(means), persistent=False)
        self.register_buffer("std", torch.tensor(stds), persistent=False)

    def forward(self, sky: Float[Tensor, "*B K"]) -> Phases:
        # [*B, K + 1] -> [*B, quantities, N]
        raw = F.pad(sky, (0, 1)).index_select(-1, self.columns).unflatten(-1, self.mean.shape)
        cos, sin, sign_cos, sign_sin, speed, latitude, distance = (raw * self.std + self.mean).unbind(-2)
        return Phases(
            longitude=torch.stack([cos, sin], dim=-1),
            sign=torch.stack([sign_cos, sign_sin], dim=-1),
            motion=torch.stack(
                [
                    speed / _SPEED_UNIT_DEG_PER_DAY,
                    latitude / _LATITUDE_UNIT_DEG,
                    distance.clamp_min(_MIN_DISTANCE_AU).log(),
                ],
                dim=-1,
            ),
        )


def relative_angle(angle: Float[Tensor, "n N 2"]) -> tuple[Float[Tensor, "n N N"], Float[Tensor, "n N N"]]:
    """cos(α_i − α_j) and sin(α_i − α_j) of every pair, from the cosines and sines alone.

    Products instead of atan2: nothing jumps at 360°, and the direction of the pair keeps its sign.
    """
    cos, sin = angle.unbind(-1)
    # [n, N, 1] and [n, 1, N]
    cos_i, sin_i, cos_j, sin_j = cos.unsqueeze(-1), sin.unsqueeze(-1), cos.unsqueeze(-2), sin.unsqueeze(-2)
    return cos_i * cos_j + sin_i * sin_j, sin_i * cos_j - cos_i * sin_j
