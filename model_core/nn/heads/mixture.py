"""MixtureDensityDecoder: a mixture of normals for each step of the horizon, with one set of weights per window.

    weight_m     = softmax_m(w_m · pooled horizon)
    mean_m       = the baseline's candle, corrected              (valid: ``heads/candle.py``)
    σ_m(h, t)    = spread_m · σ(h, t) · e^s                      (σ: the baseline's deviation)
    point        = Σ_m weight_m mean_m

A weighted mean of valid candles is a valid candle. Before training every correction and every s is 0, so
the point is the structured random walk and the widths are the baseline's; what tells the components
apart from the start is their spread, which makes the tails fatter than a normal's.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.config.model import MixtureSettings
from model_core.nn.bundles import Baseline, Forecast, Mixture
from model_core.nn.casting import at_least_fp32
from model_core.nn.heads.candle import corrected_candle

SPREAD = 0.5
"""The widest component starts e^(2 · SPREAD) = 2.7 times as wide as the narrowest: apart enough to be told apart by the
first gradients, near enough that each of them still explains ordinary days."""
MAX_LOG_STRETCH = 3.0
"""Bound of s, a factor of e³ = 20 either way: without one, a component could collapse on a single day and its density
become infinite."""


class MixtureDensityDecoder(nn.Module):
    """Pooled mixture head: one set of weights per window, a candle and widths per step and component."""

    log_spread: Float[Tensor, " M"]

    def __init__(self, width: int, settings: MixtureSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.weights = zero_linear(width, settings.components)
        self.components = zero_linear(width, 2 * len(TARGETS) * settings.components)
        self.register_buffer("log_spread", starting_log_spread(settings.components), persistent=False)

    def forward(self, decoded: Float[Tensor, "B P D"], baseline: Baseline) -> Forecast:
        normed = self.norm(decoded)
        pooled = normed.mean(1, keepdim=True)  # [B, 1, D]
        correction, stretch = components(self.components(normed + pooled))
        # [B, P, 1, T] + [M, 1] + [B, P, M, T]
        base = at_least_fp32(baseline.deviation).log().unsqueeze(2)
        log_scale = base + self.log_spread[:, None] + bounded(stretch)
        logits = at_least_fp32(self.weights(pooled)).expand(-1, decoded.shape[1], -1)
        return mixture_forecast(
            logits, corrected_candle(baseline.walk.unsqueeze(2).expand_as(correction), correction), log_scale
        )

    def at_rest(self, baseline: Baseline) -> Forecast:
        """The forecast before training."""
        return mixture_at_rest(baseline, self.log_spread)


def mixture_at_rest(baseline: Baseline, log_spread: Float[Tensor, " M"]) -> Forecast:
    """The forecast of a mixture head with corrections and stretches of 0: its base."""
    # [B, P, 1, T] + [M, 1]
    log_scale = at_least_fp32(baseline.deviation).log().unsqueeze(2) + log_spread[:, None]
    zeros = torch.zeros_like(log_scale)
    candle = corrected_candle(baseline.walk.unsqueeze(2).expand_as(zeros), zeros)
    return mixture_forecast(zeros[..., 0], candle, log_scale)


def mixture_forecast(
    logits: Float[Tensor, "B P M"], mean: Float[Tensor, "B P M T"], log_scale: Float[Tensor, "B P M T"]
) -> Forecast:
    """The mixture, and its mean as the point forecast."""
    weights = F.softmax(logits, dim=-1)  # [B, P, M]
    point = (weights.unsqueeze(-1) * mean).sum(-2)
    return Forecast(point=point, mixture=Mixture(logits, mean, log_scale))


def components(
    numbers: Float[Tensor, "B P _numbers"],
) -> tuple[Float[Tensor, "B P M T"], Float[Tensor, "B P M T"]]:
    """Candle corrections and raw log stretches of all components, fp32."""
    correction, stretch = at_least_fp32(numbers).unflatten(-1, (2, -1, len(TARGETS))).unbind(2)
    return correction, stretch


def bounded(stretch: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """s within ±MAX_LOG_STRETCH, and equal to the raw number near 0."""
    return MAX_LOG_STRETCH * torch.tanh(stretch / MAX_LOG_STRETCH)


def starting_log_spread(count: int) -> Float[Tensor, " M"]:
    """Log widths of the components, evenly apart, such that equal weights keep the variance at 1."""
    # A few numbers, whose arithmetic the meta device can't do without torch's compiler.
    logs = torch.linspace(-SPREAD, SPREAD, count, device="cpu")
    # Minus half the log of the mean variance: the mixture is as wide as one normal of deviation 1.
    return logs - 0.5 * (2 * logs).exp().mean().log()


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that says 0 until it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
