"""The layer of the batched combiner, with a backward pass of its own."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class AxialFusionLayer(nn.Module):
    """e_ij ← e_ij + ReLU(W e_ij + U mean_j e_ij + V mean_i e_ij + b): both axes of the graph, E channels.

    An edge hears from the edges that arrive at its target and from those that leave its source, at the
    cost of one E × E product per edge. No normalisation of the E = 16 channels: a layer norm over so
    short an axis is a pass more; the residual sum over a few layers stays tame without. ReLU, since GELU made
    the forward pass a third slower (docs/log.md).
    """

    def __init__(self, edge_dim: int) -> None:
        super().__init__()
        self.edge = nn.Linear(edge_dim, edge_dim)
        self.arriving = nn.Linear(edge_dim, edge_dim, bias=False)
        self.leaving = nn.Linear(edge_dim, edge_dim, bias=False)

    def forward(self, edges: Float[Tensor, "n N N E"]) -> Float[Tensor, "n N N E"]:
        fused: Tensor = _AxialFusion.apply(  # type: ignore[no-untyped-call]
            edges, self.edge.weight, self.edge.bias, self.arriving.weight, self.leaving.weight
        )
        return fused


class _AxialFusion(torch.autograd.Function):
    """Autograd's own backward pass expands and copies the gradient of each mean over all edges."""

    @staticmethod
    def forward(
        ctx: Any, edges: Tensor, edge: Tensor, bias: Tensor, arriving: Tensor, leaving: Tensor
    ) -> Tensor:
        nodes = edges.shape[1]
        into, out_of = edges.sum(2) / nodes, edges.sum(1) / nodes
        hidden = (into @ arriving.T + bias).unsqueeze(2) + (out_of @ leaving.T).unsqueeze(1)
        hidden.view(-1, len(bias)).addmm_(edges.view(-1, len(bias)), edge.T).relu_()
        ctx.save_for_backward(edges, hidden, into, out_of, edge, arriving, leaving)
        return edges + hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        edges, hidden, into, out_of, edge, arriving, leaving = ctx.saved_tensors
        nodes, width = edges.shape[1], edges.shape[-1]
        gradient = gradient.contiguous()
        inner = torch.ops.aten.threshold_backward(gradient, hidden, 0)
        of_into, of_out = inner.sum(2), inner.sum(1)
        to_edges = (of_into @ arriving / nodes).unsqueeze(2) + (of_out @ leaving / nodes).unsqueeze(1)
        rows = inner.view(-1, width)
        to_edges.view(-1, width).addmm_(rows, edge)
        of_into, of_out = of_into.view(-1, width), of_out.view(-1, width)
        return (
            to_edges.add_(gradient),
            rows.T @ edges.view(-1, width),
            of_into.sum(0),
            of_into.T @ into.view(-1, width),
            of_out.T @ out_of.view(-1, width),
        )
