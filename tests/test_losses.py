"""The loss is what it says: squared error, exact likelihoods, and every penalty by its name."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from model_core.config.model import MixtureSettings
from model_core.losses import forecast_loss, mixture_crps, mixture_nll
from model_core.metrics.probabilistic import GaussianMixture
from model_core.nn.bundles import Forecast, Mixture

INDEPENDENT = MixtureSettings(nll_mode="independent")
JOINT = MixtureSettings(nll_mode="joint")
CRPS = MixtureSettings(loss="crps")


def some_mixture(steps: int = 5, components: int = 3) -> Mixture:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, steps, components, generator=random)
    mean = torch.randn(2, steps, components, 4, generator=random)
    return Mixture(logits, mean, 0.3 * torch.randn(2, steps, components, 4, generator=random))


def some_target(steps: int = 5) -> Tensor:
    return torch.randn(2, steps, 4, generator=torch.Generator().manual_seed(1))


def test_a_point_forecast_is_scored_by_its_squared_error() -> None:
    point, target = torch.zeros(2, 5, 4), torch.full((2, 5, 4), 3.0)
    loss = forecast_loss(Forecast(point), target, INDEPENDENT)
    assert loss.parts.keys() == {"mse"}
    assert loss.total.item() == pytest.approx(9.0)


def test_a_mixture_is_scored_by_its_likelihood_and_not_by_its_point() -> None:
    mixture, target = some_mixture(), some_target()
    loss = forecast_loss(Forecast(torch.full((2, 5, 4), 1e6), mixture), target, INDEPENDENT)
    assert loss.parts.keys() == {"nll"}
    assert loss.total == mixture_nll(mixture, target, INDEPENDENT)


def test_penalties_are_added_as_they_are_and_kept_apart() -> None:
    target = some_target()
    penalties = {"graph_kl": torch.tensor(0.25), "graph_sparsity": torch.tensor(0.5)}
    loss = forecast_loss(Forecast(target, penalties=penalties), target, INDEPENDENT)
    assert loss.total.item() == pytest.approx(0.75)
    assert {name: value.item() for name, value in loss.parts.items()} == {
        "mse": 0.0,
        "graph_kl": 0.25,
        "graph_sparsity": 0.5,
    }


def test_the_joint_likelihood_is_that_of_a_mixture_of_candles() -> None:
    mixture, target = some_mixture(), some_target()
    candles = MixtureSameFamily(
        Categorical(logits=mixture.logits), Independent(Normal(mixture.mean, mixture.log_scale.exp()), 1)
    )
    expected = -candles.log_prob(target).mean() / 4
    torch.testing.assert_close(mixture_nll(mixture, target, JOINT), expected)


def test_the_independent_likelihood_is_that_of_each_target_alone() -> None:
    mixture, target = some_mixture(), some_target()
    logits = mixture.logits.unsqueeze(-2).expand(-1, -1, 4, -1)
    marginals = MixtureSameFamily(
        Categorical(logits=logits),
        Normal(mixture.mean.transpose(-1, -2), mixture.log_scale.exp().transpose(-1, -2)),
    )
    expected = -marginals.log_prob(target).mean()
    torch.testing.assert_close(mixture_nll(mixture, target, INDEPENDENT), expected)


def test_both_likelihoods_agree_on_one_component() -> None:
    mixture, target = some_mixture(components=1), some_target()
    torch.testing.assert_close(mixture_nll(mixture, target, JOINT), mixture_nll(mixture, target, INDEPENDENT))


@pytest.mark.parametrize("settings", [INDEPENDENT, JOINT], ids=["independent", "joint"])
def test_a_target_far_from_every_component_has_a_finite_loss_and_gradient(settings: MixtureSettings) -> None:
    mean = torch.zeros(1, 1, 2, 4, requires_grad=True)
    mixture = Mixture(torch.zeros(1, 1, 2), mean, torch.full((1, 1, 2, 4), -5.0))
    loss = mixture_nll(mixture, torch.full((1, 1, 4), 50.0), settings)
    loss.backward()
    assert math.isfinite(loss.item())
    assert mean.grad is not None
    assert mean.grad.isfinite().all()


def test_a_forecast_in_half_precision_is_scored_in_single() -> None:
    target = some_target()
    assert forecast_loss(Forecast(target.bfloat16()), target, INDEPENDENT).total.dtype == torch.float32


def in_float64(mixture: Mixture) -> Mixture:
    return Mixture(mixture.logits.double(), mixture.mean.double(), mixture.log_scale.double())


def test_the_crps_loss_is_the_integral_of_the_squared_distance_to_the_step() -> None:
    mixture, target = in_float64(some_mixture(steps=2)), some_target(steps=2).double()
    found = mixture_crps(mixture, target)
    weights, stds = mixture.logits.softmax(-1).numpy(), mixture.log_scale.exp().numpy()
    for index in np.ndindex(*found.shape):
        window, step, price = index
        w, m, s = (
            weights[window, step],
            mixture.mean[window, step, :, price].numpy(),
            stds[window, step, :, price],
        )
        true = target[index].item()

        def squared(
            x: float, w: np.ndarray = w, m: np.ndarray = m, s: np.ndarray = s, y: float = true
        ) -> float:
            return float((w @ norm.cdf(x, m, s) - (x >= y)) ** 2)

        below, _ = quad(squared, -30, true, limit=400)
        above, _ = quad(squared, true, 30, limit=400)
        assert found[index].item() == pytest.approx(below + above, abs=1e-8)


def test_the_crps_that_is_minimized_is_the_one_that_is_scored() -> None:
    mixture, target = some_mixture(components=5), some_target()
    arrays = (mixture.logits.numpy(), mixture.mean.numpy(), mixture.log_scale.numpy())
    scored = GaussianMixture.from_head(*arrays).crps(target.numpy().astype(np.float64))
    loss = forecast_loss(Forecast(torch.full((2, 5, 4), 1e6), mixture), target, CRPS)
    assert loss.parts.keys() == {"crps"}
    assert loss.total.item() == pytest.approx(scored.mean(), abs=1e-6)


def test_the_gradient_of_the_crps_loss_is_that_of_its_differences() -> None:
    mixture, target = in_float64(some_mixture(steps=2)), some_target(steps=2).double()
    pieces = tuple(piece.requires_grad_() for piece in (mixture.logits, mixture.mean, mixture.log_scale))
    assert torch.autograd.gradcheck(lambda *given: mixture_crps(Mixture(*given), target), pieces)


def test_the_crps_loss_of_a_far_target_grows_as_its_distance() -> None:
    mean = torch.zeros(1, 1, 2, 4, requires_grad=True)
    mixture = Mixture(torch.zeros(1, 1, 2), mean, torch.full((1, 1, 2, 4), -5.0))
    loss = mixture_crps(mixture, torch.full((1, 1, 4), 50.0)).mean()
    loss.backward()
    assert loss.item() == pytest.approx(50.0, abs=0.01)
    assert mean.grad is not None
    # Two components share four targets: each moves the mean loss by an eighth of its own move.
    torch.testing.assert_close(mean.grad, torch.full_like(mean, -1 / 8))


def test_the_crps_of_a_mixture_in_half_precision_is_taken_in_single() -> None:
    mixture, target = some_mixture(), some_target()
    half = Mixture(mixture.logits.bfloat16(), mixture.mean.bfloat16(), mixture.log_scale.bfloat16())
    assert mixture_crps(half, target.bfloat16()).dtype == torch.float32
