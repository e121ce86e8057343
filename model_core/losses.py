"""What training minimizes: the error of the forecast in scaled displacement, and what the parts ask for.

    point forecast     mean (point − target)²
    mixture forecast   −log Σ_m π_m N(target; μ_m, σ_m), in nats per step and target
    penalties          added as they are; whoever asks for one has weighted it already

Every part is differentiable and logged under its own name; their sum is the loss.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from model_core.config.model import MixtureSettings
from model_core.nn.bundles import Forecast, Mixture
from model_core.nn.casting import at_least_fp32

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class LossParts:
    """The loss and the named terms that it is the sum of; scalars in fp32, or in fp64 if the forecast is."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]


def forecast_loss(forecast: Forecast, target: Float[Tensor, "B P T"], settings: MixtureSettings) -> LossParts:
    """Loss of a forecast: ``nll`` where there is a mixture, ``mse`` where not, and its penalties.

    Args:
        forecast: the model's output.
        target: true displacements (log price − anchor) / scale.
        settings: says which likelihood of the mixture is meant.
    """
    if forecast.mixture is None:
        point = at_least_fp32(forecast.point)
        parts = {"mse": F.mse_loss(point, target.to(point.dtype))}
    else:
        parts = {"nll": mixture_nll(forecast.mixture, target, settings)}
    parts |= {name: at_least_fp32(penalty) for name, penalty in forecast.penalties.items()}
    return LossParts(total=torch.stack(list(parts.values())).sum(), parts=parts)


def mixture_nll(
    mixture: Mixture, target: Float[Tensor, "B P T"], settings: MixtureSettings
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the targets, mean over windows, steps and targets (nats).

    ``independent`` scores each target by its own marginal, −log Σ_m π_m N(y_t; μ_mt, σ_mt).
    ``joint`` scores the whole candle, −log Σ_m π_m Π_t N(y_t; μ_mt, σ_mt), so that one component has to
    explain all four; it is divided by T to be in the same unit.
    """
    log_weights = F.log_softmax(at_least_fp32(mixture.logits), dim=-1)
    log_scale = at_least_fp32(mixture.log_scale)
    deviation = (at_least_fp32(target).unsqueeze(-2) - at_least_fp32(mixture.mean)) * torch.exp(-log_scale)
    log_density = -0.5 * deviation.square() - log_scale - _LOG_SQRT_2PI
    match settings.nll_mode:
        case "independent":
            return -torch.logsumexp(log_weights.unsqueeze(-1) + log_density, dim=-2).mean()
        case "joint":
            whole = torch.logsumexp(log_weights + log_density.sum(-1), dim=-1)
            return -whole.mean() / target.shape[-1]
        case _:
            assert_never(settings.nll_mode)
