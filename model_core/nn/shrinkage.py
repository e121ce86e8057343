"""Forecasts that keep a share of what the model learned: 0 is the base that its head starts from, 1 the model itself.

Close has a share s of its own, and the candle about it, a share c. For price k of a candle

    price'_k = base_k + c · (model_k − base_k) + (s − c) · (model_Close − base_Close)

so that Close' = base + s · (model − base), and the distance from Close is (1 − c) times the base's plus c times the
model's. Distances of valid candles, mixed like that, are those of a valid candle.

The components of a mixture move likewise. Their widths have shares u of Close and v of the candle,

    σ'_k = mix_v(k) · mix_u(Close) / mix_v(Close)          mix_u(k) = (1 − u) · base σ_k + u · σ_k

so that Close' has its own width and the others keep theirs in relation to it, all above 0. Where all shares are equal,
every quantile μ + z σ of a component is mixed as the means are, so a quantile that is a valid candle in base and model
is one here. The weights belong to the widths: u times the logits, since the base's components weigh alike.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model_core.axes import CLOSE, HIGH, LOW, OPEN
from model_core.data.windows import Window
from model_core.nn.bundles import Forecast, LearnedGraph, Mixture, Reads
from model_core.nn.casting import at_least_fp32
from model_core.nn.forecaster import Forecaster
from model_core.nn.heads.mixture import mixture_forecast
from model_core.results.shrinkage import Shares


class ShrunkModel(Forecaster):
    """A model whose forecasts keep ``shares`` of what it learned; ``Forecast.unshrunk`` has all of it."""

    def __init__(self, model: Forecaster, shares: Shares) -> None:
        super().__init__()
        self.model = model
        self.baseline = model.baseline
        self.shares = shares
        self.reads = Reads(past_sky=False, future_sky=False) if shares.means_are_the_base else model.reads

    def forward(self, window: Window) -> Forecast:
        """The shrunk forecast of a batch."""
        whole = self.model(window)
        return replace(shrunk(whole, self.model.at_rest(window), self.shares), unshrunk=whole)

    def at_rest(self, window: Window) -> Forecast:
        """The base, which no share changes."""
        return self.model.at_rest(window)

    def explain(self, window: Window) -> LearnedGraph:
        """What the model looks at, however much of it is kept."""
        return self.model.explain(window)


def shrunk(forecast: Forecast, base: Forecast, shares: Shares) -> Forecast:
    """``shares`` of the way from ``base`` to ``forecast``; either end is met to the bit.

    Args:
        base: by the same head (``at_rest``).
    """
    if forecast.mixture is None or base.mixture is None:
        point = shrunk_candle(forecast.point, base.point, shares.close, shares.candle)
        return Forecast(point=point, penalties=forecast.penalties)
    mean = shrunk_candle(forecast.mixture.mean, base.mixture.mean, shares.close, shares.candle)
    log_scale = _shrunk_log_scale(forecast.mixture, base.mixture, shares)
    logits = shares.close_width * at_least_fp32(forecast.mixture.logits)
    mixed = mixture_forecast(logits, mean, log_scale)
    # Where all means are the base's, weights that a model learned would only round their mean.
    point = base.point if shares.means_are_the_base else mixed.point
    return Forecast(point=point, mixture=mixed.mixture, penalties=forecast.penalties)


def shrunk_candle(
    model: Float[Tensor, "*B T"], base: Float[Tensor, "*B T"], close: float, candle: float
) -> Float[Tensor, "*B T"]:
    """Valid candles between two valid ones, as in the docstring of this file."""
    model, base = at_least_fp32(model), at_least_fp32(base)
    moved = (close - candle) * (model - base)[..., CLOSE:]
    opened, high, low, closed = (torch.lerp(base, model, candle) + moved).unbind(-1)
    # To the bit, which sums of three terms are not.
    closed = torch.lerp(base[..., CLOSE], model[..., CLOSE], close)
    high = torch.maximum(high, torch.maximum(opened, closed))
    low = torch.minimum(low, torch.minimum(opened, closed))
    candles = {OPEN: opened, HIGH: high, LOW: low, CLOSE: closed}
    return torch.stack([candles[k] for k in sorted(candles)], dim=-1)


def _shrunk_log_scale(model: Mixture, base: Mixture, shares: Shares) -> Float[Tensor, "B P M T"]:
    relative = _log_mixed(model, base, shares.candle_width)
    own = _log_mixed(model, base, shares.close_width)[..., CLOSE:]
    log_scale = relative + (own - relative[..., CLOSE:])
    return torch.cat([log_scale[..., :CLOSE], own], dim=-1)


def _log_mixed(model: Mixture, base: Mixture, share: float) -> Float[Tensor, "B P M T"]:
    """log((1 − share) · base σ + share · model σ); one of the two exactly at 0 and 1."""
    log_base, log_model = at_least_fp32(base.log_scale), at_least_fp32(model.log_scale)
    if share in (0.0, 1.0):
        return log_model if share else log_base
    return torch.logaddexp(log_base + math.log1p(-share), log_model + math.log(share))
