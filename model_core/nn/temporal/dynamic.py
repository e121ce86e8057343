"""Dynamic spatio-temporal encoding: graph hops and temporal convolutions, one graph per time step."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import EncodingSettings
from model_core.nn.attention import NodeTemporalAttention
from model_core.nn.blocks import Dropout


class DynamicSpatioTemporalEncoding(nn.Module):
    """x + W(Σ_k g_k ⊙ conv_k(z) + g_0 ⊙ attention(z)), z = GELU(W_h [x, A x, A² x, …]).

    The convolutions (one per kernel size) and the attention run along time and see no later day, each node on
    its own line with shared weights; the gates g sum to 1 and are read from x. Any S; A follows each day.
    """

    def __init__(self, node_width: int, dropout: float, settings: EncodingSettings) -> None:
        super().__init__()
        self.hops = settings.graph_hops
        self.norm = nn.LayerNorm(node_width)
        self.spread = nn.Linear((self.hops + 1) * node_width, node_width)
        # Nodes [B, S, N, d] are a channels-last image of S × N points, which is what conv2d likes best.
        self.kernels = nn.ModuleList(
            nn.Conv2d(node_width, node_width, (size, 1), padding=(size - 1, 0))
            for size in settings.kernel_sizes
        )
        self.attention = NodeTemporalAttention(node_width)
        self.gates = nn.Linear(node_width, len(settings.kernel_sizes) + 1)
        self.out = nn.Linear(node_width, node_width)
        self.dropout = Dropout(dropout)

    def forward(
        self, nodes: Float[Tensor, "B S N d"], adjacency: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]:
        normed = self.norm(nodes)
        reach = [normed]  # x, A x, A² x, …: [B, S, N, d] each
        for _ in range(self.hops):
            reach.append(adjacency @ reach[-1])
        spread = F.gelu(self.spread(torch.cat(reach, dim=-1)))
        # [B, d, S, N]; each convolution pads both ends of time, and what looks ahead is cut off at the end.
        image = spread.permute(0, 3, 1, 2)
        paths = [kernel(image)[:, :, : nodes.shape[1]].permute(0, 2, 3, 1) for kernel in self.kernels]
        paths.append(self.attention(spread))
        # One [B, S, N, 1] for each path
        gates = torch.softmax(self.gates(normed), dim=-1).split(1, dim=-1)
        mixed = sum(gate * path for gate, path in zip(gates, paths, strict=True))
        return nodes + self.dropout(self.out(mixed))
