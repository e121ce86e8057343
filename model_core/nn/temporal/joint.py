"""Joint spatio-temporal encoding: the same mixing over one static graph, the time mean of the graphs."""

from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import EncodingSettings
from model_core.nn.temporal.dynamic import DynamicSpatioTemporalEncoding


class JointSpatioTemporalEncoding(nn.Module):
    """The dynamic encoding with every day's graph replaced by their mean: Ā = Σ_t A_t / S."""

    def __init__(self, node_width: int, dropout: float, settings: EncodingSettings) -> None:
        super().__init__()
        self.encoding = DynamicSpatioTemporalEncoding(node_width, dropout, settings)

    def forward(
        self, nodes: Float[Tensor, "B S N d"], adjacency: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]:
        return self.encoding(nodes, adjacency.mean(1, keepdim=True).expand_as(adjacency))


class NoTemporalMapper(nn.Module):
    """The hierarchical mapper's slot when it is off: the nodes as they are."""

    def forward(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]:
        return nodes
