"""Source graphs side by side, each weighted by the market context."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.bundles import BodyStates, Edges


class ContextWeights(nn.Module):
    """softmax(W context) over the source graphs: which of them counts in this market."""

    def __init__(self, width: int, sources: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, sources)

    def forward(self, context: Float[Tensor, "B D"]) -> Float[Tensor, "B G"]:
        return torch.softmax(self.scores(context), dim=-1)


class OnlySource(nn.Module):
    """The weight of a source graph that stands alone: 1."""

    def forward(self, context: Float[Tensor, "B D"]) -> Float[Tensor, "B 1"]:
        return torch.ones_like(context[:, :1])


class EdgeSources(nn.Module):
    """Asks every source for its graph and weights it: value_g · G · weight_g(context).

    Args:
        width: D, of the context.
        sky_graphs: modules (sky waves, body states) → [B, S, N, N], by name.
        learners: modules (encoder state, nodes) → Proposal, by name.
    """

    def __init__(
        self, width: int, sky_graphs: Mapping[str, nn.Module], learners: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        self.sky_graphs = nn.ModuleDict(sky_graphs)
        self.learners = nn.ModuleDict(learners)
        self.names = (*sky_graphs, *learners)
        count = len(self.names)
        self.weights = ContextWeights(width, count) if count > 1 else OnlySource()

    def forward(
        self,
        sky: Float[Tensor, "B S K"],
        bodies: BodyStates,
        encoded: Float[Tensor, "B S D"],
        nodes: Float[Tensor, "B S N d"],
        context: Float[Tensor, "B D"],
    ) -> tuple[Edges, dict[str, Tensor]]:
        """All graphs, and the penalties that the learners ask for."""
        graphs = [graph(sky, bodies) for graph in self.sky_graphs.values()]
        proposals = [learner(encoded, nodes) for learner in self.learners.values()]
        graphs += [proposal.values for proposal in proposals]
        # Times G, so that equal weights leave the values as they are, however many sources there are.
        weights = self.weights(context) * len(self.names)
        # [B, S, N, N, G] · [B, 1, 1, 1, G]
        values = torch.stack(graphs, dim=-1) * weights[:, None, None, None, :]
        penalties = {name: value for proposal in proposals for name, value in proposal.penalties.items()}
        return Edges(values, self.names), penalties
