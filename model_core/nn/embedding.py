"""From waves and calendar to tokens: the encoder's data embedding and the decoder's horizon queries."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from model_core.data.calendar import CALENDAR_FEATURES
from model_core.nn.blocks import Dropout

CALENDAR_STD = 0.02
"""Initial deviation of a calendar vector, the habit of transformers since BERT and GPT-2: little beside the sinusoids
(0.71), so that a value which training hardly met, such as week 53, adds next to no noise."""


def sinusoids(steps: int, width: int, start: int, device: torch.device) -> Float[Tensor, "steps width"]:
    """Sine and cosine of the position at geometrically spaced periods, for positions start … (any S).

    Source: Vaswani et al., Attention Is All You Need (2017), section 3.5.
    """
    position = torch.arange(start, start + steps, device=device, dtype=torch.float32)
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angle = position[:, None] * rate  # [steps, ⌈width / 2⌉]
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


class CalendarEmbedding(nn.Module):
    """Sum of one learned vector per calendar feature (day of week, …, quarter end), from one table."""

    offsets: Int[Tensor, " F"]

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [cardinality for _, cardinality in CALENDAR_FEATURES]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.register_buffer("offsets", torch.tensor(starts), persistent=False)
        self.table = nn.EmbeddingBag(sum(sizes), width, mode="sum")
        nn.init.normal_(self.table.weight, std=CALENDAR_STD)

    def forward(self, calendar: Int[Tensor, "B S F"]) -> Float[Tensor, "B S D"]:
        # [B, S, F] -> [n, F]: a bag of F rows for each day
        rows = (calendar + self.offsets).flatten(0, 1)
        return self.table(rows).unflatten(0, calendar.shape[:2])


class DataEmbedding(nn.Module):
    """Value (a causal convolution of width 3 over all features) + position + calendar, dropout."""

    KERNEL = 3
    """Days that the convolution sees: a day and the two before it."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        # One product gives the three taps of the convolution; shifting the result is cheaper than
        # unfolding the wider input.
        self.value = nn.Linear(features, self.KERNEL * width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.calendar = CalendarEmbedding(width)
        self.dropout = Dropout(dropout)

    def forward(
        self, features: Float[Tensor, "B S features"], calendar: Int[Tensor, "B S F"]
    ) -> Float[Tensor, "B S D"]:
        # [B, S, D] each: what a day says to itself, to the next day, and to the one after that
        now, *earlier = self.value(features).chunk(self.KERNEL, dim=-1)
        value = now + self.bias
        for lag, tap in enumerate(earlier, start=1):
            value = value + F.pad(tap[:, :-lag], (0, 0, lag, 0))
        position = sinusoids(features.shape[1], self.width, start=0, device=features.device)
        return self.dropout(value + position + self.calendar(calendar))


class KnownFutureQueries(nn.Module):
    """Horizon queries from what is known of the future: the bodies' states and the calendar."""

    def __init__(self, body_features: int, width: int) -> None:
        super().__init__()
        self.states = nn.Linear(body_features, width)
        self.calendar = CalendarEmbedding(width)

    def forward(
        self, states: Float[Tensor, "B P N C"], calendar: Int[Tensor, "B P F"]
    ) -> Float[Tensor, "B P D"]:
        return self.states(states.flatten(2)) + self.calendar(calendar)


class CalendarQueries(nn.Module):
    """Horizon queries from the calendar alone, for a model that may not look at the future sky."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(width) * CALENDAR_STD)
        self.calendar = CalendarEmbedding(width)

    def forward(
        self, states: Float[Tensor, "B _P N C"], calendar: Int[Tensor, "B P F"]
    ) -> Float[Tensor, "B P D"]:
        return self.start + self.calendar(calendar)


class KnownFutureSky(nn.Module):
    """The horizon's sky, as it is: ephemerides are known in advance."""

    def forward(self, future_sky: Float[Tensor, "B P K"]) -> Float[Tensor, "B P K"]:
        return future_sky


class UnknownFutureSky(nn.Module):
    """No day of the horizon's sky."""

    def forward(self, future_sky: Float[Tensor, "B P K"]) -> Float[Tensor, "B 0 K"]:
        return future_sky[:, :0]
