"""What a wave's history says without any weights: its phases, and whether it runs ahead of the targets."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.casting import at_least_fp32

SHORTEST_PERIOD, LONGEST_PERIOD = 4.0, 256.0
"""Trading days: from twice the Nyquist period of 2 up to about a year, 252."""


class FourierPhases(nn.Module):
    """Σ_t (x_t − x̄) e^{2πi t / period}: cosines and sines of each wave, as many of each, together of length 1.

    t is the age in days, so a phase is that at the anchor. A constant wave has only zeros.
    """

    rates: Float[Tensor, " frequencies"]

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(SHORTEST_PERIOD), math.log10(LONGEST_PERIOD), frequencies)
        self.register_buffer("rates", 2 * math.pi / periods, persistent=False)

    def forward(self, waves: Float[Tensor, "B S W"]) -> Float[Tensor, "B W phases"]:
        waves = at_least_fp32(waves)
        age = torch.arange(waves.shape[1] - 1, -1, -1, device=waves.device, dtype=waves.dtype)
        angle = age[:, None] * self.rates  # [S, frequencies]
        centered = (waves - waves.mean(1, keepdim=True)).transpose(1, 2)
        # A sum over a whole window of 250 days: half precision would lose what a slow wave has to say.
        with torch.autocast(waves.device.type, enabled=False):
            spectrum = centered @ torch.cat([angle.cos(), angle.sin()], dim=-1)
        return F.normalize(spectrum, dim=-1)


def delayed_influence(
    waves: Float[Tensor, "B S V"], targets: Float[Tensor, "B S T"], lags: tuple[int, ...]
) -> Float[Tensor, "B V T lags"]:
    """Correlation of a wave's change with each target's change ``lag`` days later, for every lag.

    Only pairs of days inside the window count; nothing wraps round from its end to its start.
    """
    cause = at_least_fp32(waves).diff(dim=1)  # [B, S − 1, V]
    effect = at_least_fp32(targets).diff(dim=1)
    with torch.autocast(waves.device.type, enabled=False):
        found = [_correlation(cause[:, :-lag], effect[:, lag:]) for lag in lags]
    return torch.stack(found, dim=-1)


def _correlation(cause: Float[Tensor, "B S V"], effect: Float[Tensor, "B S T"]) -> Float[Tensor, "B V T"]:
    """Σ a b / √(Σ a² Σ b²), 0 where a wave does not move."""
    return F.normalize(cause, dim=1).transpose(1, 2) @ F.normalize(effect, dim=1)
