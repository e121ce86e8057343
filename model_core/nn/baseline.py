"""The baseline of a batch: the structured random walk in displacement units, and recent volatility."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import CLOSE
from model_core.data.inputs import ModelInputs
from model_core.metrics.probabilistic import EWMA_DECAY
from model_core.nn.bundles import Baseline
from model_core.nn.casting import at_least_fp32

MIN_VARIANCE = 1e-8
"""Of a day's displacement: a Close that never moves has volatility 1e-4 of a day's range, whose logarithm is finite."""


class StructuredWalkBaseline(nn.Module):
    """displacement = a / scale + b, with a and b fitted on the train rows (``data/walk.py``)."""

    a: Float[Tensor, "P T"]
    b: Float[Tensor, "P T"]

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        # The walk lives in ModelInputs and is stored with it, so the buffers are not in the state.
        self.register_buffer("a", torch.tensor(inputs.walk_a, dtype=torch.float32), persistent=False)
        self.register_buffer("b", torch.tensor(inputs.walk_b, dtype=torch.float32), persistent=False)

    def forward(self, prices: Float[Tensor, "B S T"], scale: Float[Tensor, " B"]) -> Baseline:
        """``prices`` are the known displacements, ``scale`` the mean log range they were divided by."""
        # [P, T] / [B, 1, 1] + [P, T] -> [B, P, T]
        walk = self.a / scale.to(self.a.dtype)[:, None, None] + self.b
        return Baseline(walk=walk, volatility=ewma_volatility(prices[..., CLOSE]))


def ewma_volatility(close: Float[Tensor, "B S"]) -> Float[Tensor, " B"]:
    """Square root of the exponentially weighted mean of squared one-day moves, newest weighing most."""
    moves = at_least_fp32(close).diff(dim=1)
    age = torch.arange(moves.shape[1] - 1, -1, -1, device=moves.device, dtype=moves.dtype)
    weights = EWMA_DECAY**age
    variance = (moves.square() * weights).sum(1) / weights.sum()
    return variance.clamp_min(MIN_VARIANCE).sqrt()
