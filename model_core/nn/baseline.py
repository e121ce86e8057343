"""The baseline of a batch: the structured random walk in displacement units, and how wide its errors are.

Both read the ranges of the last day, week and month from the window itself (``data/har.py`` and ``data/walk.py`` have
the formulas; what was fitted stands in ``ModelInputs``). Which scale a mixture head starts from fills a slot:
``RangeScale``, or ``EwmaScale`` as the plain alternative.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import CLOSE, HIGH, LOW
from model_core.data.inputs import ModelInputs
from model_core.metrics.probabilistic import EWMA_DECAY, FIRST_DAY_SHARE
from model_core.nn.bundles import Baseline
from model_core.nn.casting import at_least_fp32

MIN_VARIANCE = 1e-8
"""Of a displacement: a market that never moves has a deviation of 1e-4 of a day's range, whose logarithm is finite."""


class StructuredWalkBaseline(nn.Module):
    """displacement = a / scale + b + Σ_i c_i · R_i, with a, b and c fitted on the train rows.

    Args:
        spread: the slot of the scale: known displacements and the window's scale → deviations [B, P, T].
    """

    a: Float[Tensor, "P T"]
    b: Float[Tensor, "P T"]
    c: Float[Tensor, "ranges P T"]

    def __init__(self, inputs: ModelInputs, spread: nn.Module) -> None:
        super().__init__()
        # The walk lives in ModelInputs and is stored with it, so the buffers are not in the state.
        self.register_buffer("a", _constant(inputs.walk_a), persistent=False)
        self.register_buffer("b", _constant(inputs.walk_b), persistent=False)
        self.register_buffer("c", _constant(inputs.walk_c), persistent=False)
        self.days = inputs.range_days
        self.spread = spread

    def forward(self, prices: Float[Tensor, "B S T"], scale: Float[Tensor, " B"]) -> Baseline:
        """``prices`` are the known displacements, ``scale`` the mean log range they were divided by."""
        # [P, T] / [B, 1, 1] + [P, T] + [B, P, T]
        walk = self.a / scale.to(self.a.dtype)[:, None, None] + self.b + _weighted(prices, self.days, self.c)
        return Baseline(walk=walk, deviation=self.spread(prices, scale))


class RangeScale(nn.Module):
    """σ = c₀ / scale + Σ_i c_i · R_i in displacement units, no c below 0 (``data/har.py``)."""

    constant: Float[Tensor, "P T"]
    c: Float[Tensor, "ranges P T"]

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        constant, *others = inputs.scale_c
        self.register_buffer("constant", _constant(constant), persistent=False)
        self.register_buffer("c", _constant(others), persistent=False)
        self.days = inputs.range_days

    def forward(self, prices: Float[Tensor, "B S T"], scale: Float[Tensor, " B"]) -> Float[Tensor, "B P T"]:
        sigma = self.constant / scale.to(self.constant.dtype)[:, None, None]
        return (sigma + _weighted(prices, self.days, self.c)).clamp_min(MIN_VARIANCE**0.5)


class EwmaScale(nn.Module):
    """σ = σ_day · √(h − 1 + share_t): a random walk of recent volatility, with nothing fitted."""

    days_apart: Float[Tensor, "P T"]

    def __init__(self, pred_len: int) -> None:
        super().__init__()
        # [P, T]: h − 1 + share_t, since arange counts from 0
        days = torch.arange(pred_len)[:, None] + _constant(FIRST_DAY_SHARE)
        self.register_buffer("days_apart", days, persistent=False)

    def forward(self, prices: Float[Tensor, "B S T"], scale: Float[Tensor, " B"]) -> Float[Tensor, "B P T"]:
        return ewma_volatility(prices[..., CLOSE])[:, None, None] * self.days_apart.sqrt()


def recent_ranges(prices: Float[Tensor, "B S T"], days: tuple[int, ...]) -> Float[Tensor, "B ranges"]:
    """Mean High − Low of the last rows, in the unit of ``prices``; 0 where a perturbed input has High below Low."""
    ranges = at_least_fp32(prices[..., HIGH] - prices[..., LOW])
    return torch.stack([ranges[:, -count:].mean(1) for count in days], dim=1).clamp_min(0)


def ewma_volatility(close: Float[Tensor, "B S"]) -> Float[Tensor, " B"]:
    """Square root of the exponentially weighted mean of squared one-day moves, newest weighing most."""
    moves = at_least_fp32(close).diff(dim=1)
    age = torch.arange(moves.shape[1] - 1, -1, -1, device=moves.device, dtype=moves.dtype)
    weights = EWMA_DECAY**age
    variance = (moves.square() * weights).sum(1) / weights.sum()
    return variance.clamp_min(MIN_VARIANCE).sqrt()


def _weighted(
    prices: Float[Tensor, "B S T"], days: tuple[int, ...], c: Float[Tensor, "ranges P T"]
) -> Float[Tensor, "B P T"]:
    """Σ_i c_i · R_i; written as a sum, since autocast would round a matrix product."""
    return (recent_ranges(prices, days)[:, :, None, None] * c).sum(1)


def _constant(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
