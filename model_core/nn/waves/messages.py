"""Message passing along wave → transition → target."""

from jaxtyping import Float
from torch import Tensor, nn

from model_core.nn.blocks import Dropout, FeedForward
from model_core.nn.waves.proposals import PathGraph


class PathMessages(nn.Module):
    """Transitions read the waves, targets read the transitions; each read is followed by a feed-forward.

    r ← r + W A_rw norm(x_w),  y ← y + U A_yr norm(r); pre-norm, residual.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.wave_norm = nn.LayerNorm(width)
        self.wave_message = nn.Linear(width, width)
        self.transition_forward = nn.Sequential(nn.LayerNorm(width), FeedForward(width, hidden, dropout))
        self.transition_norm = nn.LayerNorm(width)
        self.transition_message = nn.Linear(width, width)
        self.target_forward = nn.Sequential(nn.LayerNorm(width), FeedForward(width, hidden, dropout))
        self.dropout = Dropout(dropout)

    def forward(
        self,
        waves: Float[Tensor, "B V d"],
        transitions: Float[Tensor, "B R d"],
        targets: Float[Tensor, "B T d"],
        graph: PathGraph,
    ) -> tuple[Float[Tensor, "B R d"], Float[Tensor, "B T d"]]:
        """New states of the transitions and the targets."""
        # [B, R, V] @ [B, V, d] -> [B, R, d]
        heard = graph.into_transition @ self.wave_message(self.wave_norm(waves))
        transitions = transitions + self.dropout(heard)
        transitions = transitions + self.transition_forward(transitions)
        # [B, T, R] @ [B, R, d] -> [B, T, d]
        heard = graph.into_target @ self.transition_message(self.transition_norm(transitions))
        targets = targets + self.dropout(heard)
        return transitions, targets + self.target_forward(targets)
