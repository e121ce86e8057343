"""The layer of the batched combiner, with a backward pass of its own.

Edges x_ij are vectors of E channels; node i hears from node j. With the means into a node and out of one,

    p_i  = Σ_j x_ij / N                     mean edge into i
    r_j  = Σ_i x_ij / N                     mean edge out of j
    h_ij = ReLU(W x_ij + U p_i + V r_j + b)
    y_ij = x_ij + h_ij

the backward pass is, with the arriving gradient g_ij = ∂ℓ/∂y_ij,

    δ_ij    = g_ij where h_ij > 0, else 0   gradient of what the ReLU is given
    ∂ℓ/∂x_ij = g_ij + Wᵀ δ_ij + Uᵀ (Σ_j' δ_ij') / N + Vᵀ (Σ_i' δ_i'j) / N
    ∂ℓ/∂W = Σ_ij δ_ij x_ijᵀ                 ∂ℓ/∂b = Σ_ij δ_ij
    ∂ℓ/∂U = Σ_i (Σ_j δ_ij) p_iᵀ             ∂ℓ/∂V = Σ_j (Σ_i δ_ij) r_jᵀ

The sums over an axis of δ appear in three gradients each and are taken once. Time steps do not meet, but in the
sums of the parameters.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from model_core.nn.casting import without_autocast


class AxialFusionLayer(nn.Module):
    """e_ij ← e_ij + ReLU(W e_ij + U mean_j e_ij + V mean_i e_ij + b): both axes of the graph, E channels.

    An edge hears from the edges that arrive at its target and from those that leave its source, at the
    cost of one E × E product per edge. No normalization of the E = 16 channels: a layer norm over so
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

    def reference(self, edges: Float[Tensor, "n N N E"]) -> Float[Tensor, "n N N E"]:
        """What ``forward`` must return, written out; autograd does the backward pass."""
        into_target = self.arriving(edges.mean(dim=2, keepdim=True))  # [n, N, 1, E]
        out_of_source = self.leaving(edges.mean(dim=1, keepdim=True))  # [n, 1, N, E]
        return edges + F.relu(self.edge(edges) + into_target + out_of_source)


class _AxialFusion(torch.autograd.Function):
    """The equations at the top of this file.

    Autograd's own backward pass expands and copies the gradient of each mean over all edges. Autocast is off for the
    products of both passes: torch's compiler traces the backward pass under the autocast of the forward pass, and a
    product in another type does not fit the buffer that it is added to.
    """

    @staticmethod
    def forward(
        ctx: Any, edges: Tensor, edge: Tensor, bias: Tensor, arriving: Tensor, leaving: Tensor
    ) -> Tensor:
        nodes = edges.shape[1]
        into, out_of = edges.sum(2) / nodes, edges.sum(1) / nodes  # p and r, [n, N, E] each
        with without_autocast(edges):
            # U p_i + b + V r_j: [n, N, 1, E] + [n, 1, N, E] -> [n, N, N, E]
            hidden = (into @ arriving.T + bias).unsqueeze(2) + (out_of @ leaving.T).unsqueeze(1)
            # + W x_ij and ReLU, in the same memory: [n · N · N, E] @ [E, E]
            hidden.view(-1, len(bias)).addmm_(edges.view(-1, len(bias)), edge.T).relu_()
        ctx.save_for_backward(edges, hidden, into, out_of, edge, arriving, leaving)
        return edges + hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_fused: Tensor) -> Any:
        with without_autocast(grad_fused):
            return _gradients(grad_fused, *ctx.saved_tensors)


def _gradients(
    grad_fused: Float[Tensor, "n N N E"],
    edges: Float[Tensor, "n N N E"],
    hidden: Float[Tensor, "n N N E"],
    into: Float[Tensor, "n N E"],
    out_of: Float[Tensor, "n N E"],
    edge: Float[Tensor, "E E"],
    arriving: Float[Tensor, "E E"],
    leaving: Float[Tensor, "E E"],
) -> tuple[Tensor, ...]:
    """Gradients of the edges and of W, b, U and V."""
    nodes, width = edges.shape[1], edges.shape[-1]
    grad_fused = grad_fused.contiguous()
    # δ [n, N, N, E]; h is 0 exactly where the ReLU was closed.
    inner = torch.ops.aten.threshold_backward(grad_fused, hidden, 0)
    per_target, per_source = inner.sum(2), inner.sum(1)  # Σ_j δ and Σ_i δ, [n, N, E] each
    # Uᵀ Σ_j δ / N + Vᵀ Σ_i δ / N: [n, N, 1, E] + [n, 1, N, E] -> [n, N, N, E]; rows times W are Wᵀ times columns
    grad_edges = (per_target @ arriving / nodes).unsqueeze(2) + (per_source @ leaving / nodes).unsqueeze(1)
    rows = inner.view(-1, width)  # [n · N · N, E]
    grad_edges.view(-1, width).addmm_(rows, edge)  # + Wᵀ δ
    per_target, per_source = per_target.view(-1, width), per_source.view(-1, width)  # [n · N, E]
    return (
        grad_edges.add_(grad_fused),
        rows.T @ edges.view(-1, width),
        per_target.sum(0),
        per_target.T @ into.view(-1, width),
        per_source.T @ out_of.view(-1, width),
    )
