"""What training minimizes: the error of the forecast in scaled displacement, and what the parts ask for.

    point forecast     mean (point − target)²
    mixture forecast   −log Σ_m π_m N(target; μ_m, σ_m), in nats per step and target, or its CRPS
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
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


@dataclass(frozen=True)
class LossParts:
    """The loss and the named terms that it is the sum of; scalars in fp32, or in fp64 if the forecast is."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]


def forecast_loss(forecast: Forecast, target: Float[Tensor, "B P T"], settings: MixtureSettings) -> LossParts:
    """Loss of a forecast: ``nll`` or ``crps`` where there is a mixture, ``mse`` where not, and its penalties.

    Args:
        forecast: the model's output.
        target: true displacements (log price − anchor) / scale.
        settings: says which score of the mixture is meant, and which likelihood.
    """
    if forecast.mixture is None:
        point = at_least_fp32(forecast.point)
        parts = {"mse": F.mse_loss(point, target.to(point.dtype))}
    else:
        match settings.loss:
            case "nll":
                parts = {"nll": mixture_nll(forecast.mixture, target, settings)}
            case "crps":
                parts = {"crps": mixture_crps(forecast.mixture, target).mean()}
            case _:
                assert_never(settings.loss)
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


def mixture_crps(mixture: Mixture, target: Float[Tensor, "B P T"]) -> Float[Tensor, "B P T"]:
    """Continuous ranked probability score of each target's own marginal, in the unit of the targets.

    In closed form (Grimit et al., 2006), with Y ~ N(d, s²) and E|Y| = 2 s φ(d / s) + d (2 Φ(d / s) − 1):

        Σ_m π_m E|N(y − μ_m, σ_m²)| − ½ Σ_mk π_m π_k E|N(μ_m − μ_k, σ_m² + σ_k²)|

    A day far off costs as much as it is far off, not the square of it as in the likelihood.
    ``GaussianMixture.crps`` (``metrics/probabilistic.py``) is the same in NumPy, for scores.
    """
    weights = F.softmax(at_least_fp32(mixture.logits), dim=-1)  # [B, P, M]
    mean, log_scale = at_least_fp32(mixture.mean), at_least_fp32(mixture.log_scale)
    distance = at_least_fp32(target).unsqueeze(-2) - mean  # [B, P, M, T]
    from_target = (weights.unsqueeze(-1) * _expected_size(distance, log_scale.exp())).sum(-2)
    # [B, P, M, 1, T] and [B, P, 1, M, T] -> [B, P, M, M, T]
    apart = mean.unsqueeze(-2) - mean.unsqueeze(-3)
    variance = (2 * log_scale).exp()
    spread = (variance.unsqueeze(-2) + variance.unsqueeze(-3)).sqrt()
    pairs = weights.unsqueeze(-1) * weights.unsqueeze(-2)  # [B, P, M, M]
    return from_target - 0.5 * (pairs.unsqueeze(-1) * _expected_size(apart, spread)).sum((-2, -3))


def _expected_size(mean: Tensor, std: Tensor) -> Tensor:
    """E|Y| of Y ~ N(mean, std²)."""
    z = mean / std
    return std * _SQRT_2_OVER_PI * torch.exp(-0.5 * z.square()) + mean * torch.erf(z * math.sqrt(0.5))
