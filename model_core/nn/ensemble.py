"""Several models of one kind, trained from different seeds, as one: a mixture of their mixtures, or the mean point.

    F(y) = 1/K Σ_k F_k(y)       weight of component m of member k: π_km / K

The mean of valid candles is a valid candle, and so is the quantile of a mixture whose parts order Open, High, Low and
Close alike: where every member has F_High ≤ F_Close, so has their mean.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from model_core.data.windows import Window
from model_core.nn.bundles import Forecast, LearnedGraph, Mixture, Reads
from model_core.nn.casting import at_least_fp32
from model_core.nn.forecaster import Forecaster


class EnsembleModel(Forecaster):
    """Members that forecast together; at least one."""

    def __init__(self, members: Sequence[Forecaster]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.baseline = members[0].baseline
        self.reads = Reads(
            past_sky=any(member.reads.past_sky for member in members),
            future_sky=any(member.reads.future_sky for member in members),
        )

    def forward(self, window: Window) -> Forecast:
        """The members' forecasts of a batch, combined."""
        return combined([member(window) for member in self.members])

    def at_rest(self, window: Window) -> Forecast:
        """The base that all of them start from."""
        return combined([member.at_rest(window) for member in self._forecasters()])

    def explain(self, window: Window) -> LearnedGraph:
        """The mean of what the members look at."""
        each = [member.explain(window) for member in self._forecasters()]

        def mean(name: str) -> torch.Tensor:
            return torch.stack([getattr(explanation, name) for explanation in each]).mean(0)

        return LearnedGraph(
            adjacency=mean("adjacency"),
            target_to_body=mean("target_to_body"),
            source_weights=mean("source_weights"),
            source_names=each[0].source_names,
            node_names=each[0].node_names,
            adjacency_of_members=torch.stack([one.adjacency for one in each]),
        )

    def _forecasters(self) -> list[Forecaster]:
        return [member for member in self.members if isinstance(member, Forecaster)]


def combined(forecasts: Sequence[Forecast]) -> Forecast:
    """One forecast in which each of ``forecasts`` weighs alike; a single one is itself."""
    if len(forecasts) == 1:
        return forecasts[0]
    names = forecasts[0].penalties
    penalties = {name: torch.stack([f.penalties[name] for f in forecasts]).mean(0) for name in names}
    whole = [f.unshrunk for f in forecasts if f.unshrunk is not None]
    unshrunk = combined(whole) if whole else None
    point = torch.stack([f.point for f in forecasts]).mean(0)
    return Forecast(
        point, _mixed([f.mixture for f in forecasts if f.mixture is not None]), penalties, unshrunk
    )


def _mixed(mixtures: Sequence[Mixture]) -> Mixture | None:
    if not mixtures:
        return None
    return Mixture(
        torch.cat([F.log_softmax(at_least_fp32(m.logits), dim=-1) for m in mixtures], dim=-1),
        torch.cat([m.mean for m in mixtures], dim=-2),
        torch.cat([m.log_scale for m in mixtures], dim=-2),
    )
