"""The point head: a zero-initialized correction to the structured random walk."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.nn.bundles import Baseline, Forecast
from model_core.nn.heads.candle import corrected_candle


class PointHead(nn.Module):
    """Final projection of the decoder: a correction of the baseline's candle, 0 before training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, len(TARGETS))
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, decoded: Float[Tensor, "B P D"], baseline: Baseline) -> Forecast:
        return Forecast(point=corrected_candle(baseline.walk, self.projection(self.norm(decoded))))

    def at_rest(self, baseline: Baseline) -> Forecast:
        """The forecast with a correction of 0."""
        return Forecast(point=corrected_candle(baseline.walk, torch.zeros_like(baseline.walk)))
