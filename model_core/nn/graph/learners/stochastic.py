"""Stochastic graph learner: edges that are distributions, kept close to a prior."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, StochasticLearnerSettings
from model_core.nn.bundles import Proposal
from model_core.nn.casting import at_least_fp32

MAX_LOG_STD = 5.0
"""Bound of log σ/σ₀, reached smoothly: σ stays within e^±5 = 1/148 … 148 of the prior's.

Neither an edge's noise nor its KL, which holds (σ/σ₀)², can overflow then.
"""


class StochasticGraphLearner(nn.Module):
    """z_ij ~ N(μ_ij, σ_ij²) with μ and log σ/σ₀ read from the encoder state; A = σ(z).

    Reparameterized (Kingma & Welling, 2013) in training, z = μ in evaluation. KL(N(μ, σ²) ‖ N(0, σ₀²)),
    mean over edges, joins the loss; ``anneal`` brings its weight up over the first epochs.
    """

    def __init__(self, width: int, settings: StochasticLearnerSettings) -> None:
        super().__init__()
        self.rank = settings.rank
        self.prior_std = settings.prior_std
        self.weight = settings.reg_loss_weight * settings.kl_weight
        self.anneal_epochs = settings.kl_anneal_epochs
        self.annealed = 1.0
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 4 * NUM_BODIES * settings.rank)
        self.mean_bias = nn.Parameter(torch.zeros(NUM_BODIES, NUM_BODIES))
        self.log_std_bias = nn.Parameter(torch.zeros(NUM_BODIES, NUM_BODIES))

    def anneal(self, epoch: int) -> None:
        """Weight of the KL from ``epoch`` (0, 1, …) on: linear up to 1 over ``kl_anneal_epochs``."""
        self.annealed = 1.0 if epoch >= self.anneal_epochs else (epoch + 1) / (self.anneal_epochs + 1)

    def forward(self, encoded: Float[Tensor, "B S D"], nodes: Float[Tensor, "B S N d"]) -> Proposal:
        factors = self.project(self.norm(encoded)).unflatten(-1, (4, NUM_BODIES, self.rank))
        # [B, S, N, rank] each: two factors of the mean, two of the log width
        left, right, wide_left, wide_right = factors.unbind(2)
        mean = self._scores(left, right) + self.mean_bias
        log_std = MAX_LOG_STD * torch.tanh(
            (self._scores(wide_left, wide_right) + self.log_std_bias) / MAX_LOG_STD
        )
        edges = mean + self._noise(log_std)
        penalty = self.weight * self.annealed * gaussian_kl(mean / self.prior_std, log_std).mean()
        return Proposal(torch.sigmoid(edges), {"graph_kl": penalty})

    def _scores(
        self, left: Float[Tensor, "B S N rank"], right: Float[Tensor, "B S N rank"]
    ) -> Float[Tensor, "B S N N"]:
        return left @ right.transpose(-1, -2) / math.sqrt(self.rank)

    def _noise(self, log_std: Float[Tensor, "B S N N"]) -> Float[Tensor, "B S N N"]:
        if not self.training:
            return torch.zeros_like(log_std)
        return self.prior_std * log_std.exp() * torch.randn_like(log_std)


def gaussian_kl(mean: Float[Tensor, "*B"], log_std: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """KL(N(mean, std²) ‖ N(0, 1)) in nats, fp32: 0 exactly where the two are the same."""
    mean, log_std = at_least_fp32(mean), at_least_fp32(log_std)
    return 0.5 * (mean.square() + torch.expm1(2 * log_std)) - log_std
