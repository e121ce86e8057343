"""Closed forms for mixtures of normals, against numerical integration and another library."""

import numpy as np
import pytest
import scoringrules
from scipy.integrate import quad
from scipy.stats import norm

from model_core.metrics.probabilistic import (
    EWMA_DECAY,
    GaussianMixture,
    ewma_random_walk,
)


def some_mixture(shape: tuple[int, ...] = (6,), components: int = 3) -> GaussianMixture:
    random = np.random.default_rng(4)
    weight = random.dirichlet(np.ones(components), size=shape)
    mean = random.normal(size=(*shape, components))
    return GaussianMixture(weight, mean, random.uniform(0.2, 2.0, size=(*shape, components)))


def test_the_distribution_is_the_integral_of_the_density() -> None:
    mixture, values = some_mixture(), np.linspace(-3, 3, 6)
    for i, value in enumerate(values):
        w, m, s = mixture.weight[i], mixture.mean[i], mixture.std[i]
        integral, _ = quad(lambda x, w=w, m=m, s=s: float(w @ norm.pdf(x, m, s)), -40, value, limit=300)
        assert mixture.cdf(values)[i] == pytest.approx(integral, abs=1e-8)


def test_crps_is_the_integral_of_the_squared_distance_to_the_step() -> None:
    mixture, truth = some_mixture(), np.linspace(-4, 4, 6)
    for i, true in enumerate(truth):
        w, m, s = mixture.weight[i], mixture.mean[i], mixture.std[i]

        def squared(
            x: float, w: np.ndarray = w, m: np.ndarray = m, s: np.ndarray = s, y: float = true
        ) -> float:
            return float((w @ norm.cdf(x, m, s) - (x >= y)) ** 2)

        below, _ = quad(squared, -40, true, limit=400)
        above, _ = quad(squared, true, 40, limit=400)
        assert mixture.crps(truth)[i] == pytest.approx(below + above, abs=1e-7)


def test_crps_agrees_with_scoringrules() -> None:
    mixture = some_mixture((50,), components=4)
    truth = np.random.default_rng(1).normal(size=50)
    expected = scoringrules.crps_mixnorm(truth, mixture.mean, mixture.std, mixture.weight)
    np.testing.assert_allclose(mixture.crps(truth), expected, atol=1e-12)


@pytest.mark.parametrize("probability", [1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
def test_a_quantile_inverts_the_distribution(probability: float) -> None:
    mixture = some_mixture((40,))
    np.testing.assert_allclose(mixture.cdf(mixture.quantile(probability)), probability, rtol=1e-9)


def test_quantiles_of_far_apart_components_are_found() -> None:
    mixture = GaussianMixture(np.array([0.3, 0.7]), np.array([-1e3, 1e3]), np.array([1e-3, 1e-3]))
    assert mixture.quantile(0.15) == pytest.approx(-1e3, abs=1e-9)
    assert mixture.quantile(0.65) == pytest.approx(1e3, abs=1e-9)


def test_a_quantile_outside_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        some_mixture().quantile(1.0)


def test_one_component_is_the_normal_distribution() -> None:
    mixture = GaussianMixture(np.ones((1, 1)), np.full((1, 1), 2.0), np.full((1, 1), 3.0))
    assert mixture.quantile(0.9)[0] == pytest.approx(norm.ppf(0.9, 2, 3), rel=1e-12)
    assert mixture.expectation()[0] == 2.0
    # CRPS of N(μ, σ²) at its mean is σ (√2 − 1) / √π.
    assert mixture.crps(np.array([2.0]))[0] == pytest.approx(3 * (2**0.5 - 1) / np.pi**0.5, rel=1e-12)


def test_changing_the_unit_scales_quantiles_and_score() -> None:
    mixture, truth, unit = some_mixture(), np.linspace(-1, 1, 6), np.linspace(0.01, 3, 6)
    np.testing.assert_allclose(mixture.scaled(unit).crps(truth * unit), mixture.crps(truth) * unit, rtol=1e-9)
    np.testing.assert_allclose(mixture.scaled(unit).quantile(0.2), mixture.quantile(0.2) * unit, rtol=1e-9)


def test_the_log_density_is_that_of_the_mixture() -> None:
    mixture, values = some_mixture(), np.linspace(-3, 3, 6)
    for i, value in enumerate(values):
        density = mixture.weight[i] @ norm.pdf(value, mixture.mean[i], mixture.std[i])
        assert mixture.log_density(values)[i] == pytest.approx(np.log(density), rel=1e-12)


def test_an_element_is_the_mixture_at_a_place_of_the_last_axis() -> None:
    mixture = some_mixture((4, 3))
    values = np.linspace(-1, 1, 4)
    expected = mixture.crps(np.repeat(values[:, None], 3, axis=1))[:, 1]
    np.testing.assert_array_equal(mixture.element(1).crps(values), expected)


def test_a_head_gives_the_marginals_of_its_targets() -> None:
    random = np.random.default_rng(2)
    logits, mean, log_scale = (random.normal(size=(2, 5, 3, *rest)) for rest in ((), (4,), (4,)))
    mixture = GaussianMixture.from_head(logits, mean, log_scale)
    assert mixture.mean.shape == (2, 5, 4, 3)
    np.testing.assert_allclose(mixture.weight.sum(-1), 1.0)
    np.testing.assert_allclose(mixture.mean[1, 2, 3], mean[1, 2, :, 3])
    np.testing.assert_allclose(mixture.std[1, 2, 3], np.exp(log_scale[1, 2, :, 3]))


def test_the_random_walk_widens_with_the_root_of_the_horizon_and_sees_no_later_day() -> None:
    random = np.random.default_rng(3)
    log_close = np.cumsum(0.01 * random.standard_normal(300))
    walk = ewma_random_walk(log_close, np.array([50, 200]), pred_len=9)
    np.testing.assert_allclose(walk.std[:, 8, 0], 3 * walk.std[:, 0, 0])
    later = log_close.copy()
    later[201:] += 1.0
    np.testing.assert_array_equal(walk.std, ewma_random_walk(later, np.array([50, 200]), 9).std)


def test_the_random_walk_is_the_weighted_mean_of_squared_moves() -> None:
    log_close = np.cumsum(np.random.default_rng(3).standard_normal(40))
    squares = np.diff(log_close)[:30] ** 2
    weights = EWMA_DECAY ** np.arange(29, -1, -1)
    walk = ewma_random_walk(log_close, np.array([30]), pred_len=1)
    assert walk.std[0, 0, 0] ** 2 == pytest.approx(weights @ squares / weights.sum(), rel=1e-12)


def test_the_random_walk_needs_a_move_before_its_anchor() -> None:
    with pytest.raises(ValueError, match="at least one daily move"):
        ewma_random_walk(np.zeros(5), np.array([0, 3]), pred_len=2)
