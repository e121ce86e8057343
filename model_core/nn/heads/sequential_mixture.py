"""SequentialMixtureDensityDecoder: the mixture of a step follows from the steps before it.

    state_h      = GRU(state_{h−1}, decoded_h)
    Close_m(h)   = the baseline's Close + Σ_{k ≤ h} δ_m(k)            one day's drift after the other
    σ_m(h, t)    = spread_m · σ(h, t) · √(Σ_{k < h} e²ˢ_m(k, Close) + share_t · e²ˢ_m(h, t)) / √(h − 1 + share_t)

σ is the baseline's deviation. Each day stretches its own share of the variance, as in a random walk whose days differ
and of which the last day counts as far as its price has come by then (``share``); no step reads a later one. Before
training δ and s are 0 and the head equals ``MixtureDensityDecoder``.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import CLOSE, TARGETS
from model_core.config.model import MixtureSettings
from model_core.metrics.probabilistic import FIRST_DAY_SHARE
from model_core.nn.bundles import Baseline, Forecast
from model_core.nn.casting import at_least_fp32
from model_core.nn.heads.candle import corrected_candle
from model_core.nn.heads.mixture import (
    bounded,
    components,
    mixture_at_rest,
    mixture_forecast,
    starting_log_spread,
    zero_linear,
)

START_STD = 0.02
"""Initial deviation of the learned state before the first day: close to 0, a GRU's usual start."""


class SequentialMixtureDensityDecoder(nn.Module):
    """Causal mixture head: weights, candle and widths of each step from a state that walks the horizon."""

    log_spread: Float[Tensor, " M"]
    share: Float[Tensor, " T"]

    def __init__(self, width: int, settings: MixtureSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.start = nn.Parameter(torch.randn(width) * START_STD)
        self.walk = nn.GRU(width, width, batch_first=True)
        self.weights = zero_linear(width, settings.components)
        self.components = zero_linear(width, 2 * len(TARGETS) * settings.components)
        self.register_buffer("log_spread", starting_log_spread(settings.components), persistent=False)
        self.register_buffer("share", torch.tensor(FIRST_DAY_SHARE), persistent=False)

    def forward(self, decoded: Float[Tensor, "B P D"], baseline: Baseline) -> Forecast:
        normed = self.norm(decoded)
        # [1, B, D]: layers first, as nn.GRU wants its state
        start = self.start.to(normed.dtype).expand(1, len(decoded), -1).contiguous()
        states = normed + self.walk(normed, start)[0]
        correction, stretch = components(self.components(states))
        # Range and positions belong to their day; only the Close carries over to the next.
        daily, drift = correction.split([CLOSE, 1], dim=-1)
        correction = torch.cat([daily, drift.cumsum(1)], dim=-1)

        # e^{2s} of the docstring, [B, P, M, T]
        stretched = torch.exp(2 * bounded(stretch))
        close = stretched[..., CLOSE:]
        before = close.cumsum(1) - close  # Σ over k < h, without day h itself
        # [P, 1, 1] + [T] -> [P, 1, T]: h − 1 + share_t, since arange counts from 0
        days = torch.arange(decoded.shape[1], device=decoded.device)[:, None, None] + self.share
        # [B, P, 1, T] + [M, 1] + [B, P, M, T]
        base = at_least_fp32(baseline.deviation).log().unsqueeze(2) + self.log_spread[:, None]
        log_scale = base + 0.5 * ((before + self.share * stretched) / days).log()
        candles = corrected_candle(baseline.walk.unsqueeze(2).expand_as(correction), correction)
        return mixture_forecast(at_least_fp32(self.weights(states)), candles, log_scale)

    def at_rest(self, baseline: Baseline) -> Forecast:
        """The forecast before training."""
        return mixture_at_rest(baseline, self.log_spread)
