"""Student's t in closed form, and what calibration measures, against integration, loops and other libraries."""

import numpy as np
import pytest
import scoringrules
from scipy import stats
from scipy.integrate import quad

from model_core.metrics.calibration import calibration, inside, pinball_loss, volatility_thirds
from model_core.metrics.probabilistic import GaussianMixture
from model_core.metrics.student import StudentT

DEGREES = 4.5


def some_t(count: int = 5) -> StudentT:
    random = np.random.default_rng(6)
    return StudentT(random.normal(size=count), random.uniform(0.3, 2, count), DEGREES)


def test_the_t_is_scipys() -> None:
    t, values = some_t(), np.linspace(-3, 3, 5)
    expected = stats.t(DEGREES, t.mean, t.scale)
    np.testing.assert_allclose(t.cdf(values), expected.cdf(values), rtol=1e-10)
    np.testing.assert_allclose(t.log_density(values), expected.logpdf(values), rtol=1e-10)
    np.testing.assert_allclose(t.quantile(0.05), expected.ppf(0.05), rtol=1e-9)
    same = StudentT.with_variance(t.mean, np.full(5, 0.7), DEGREES)
    np.testing.assert_allclose(stats.t(DEGREES, same.mean, same.scale).var(), 0.7)


def test_crps_of_the_t_is_the_integral_of_the_squared_distance_to_the_step() -> None:
    t, truth = some_t(), np.linspace(-4, 4, 5)
    for i, true in enumerate(truth):

        def squared(x: float, i: int = i, y: float = true) -> float:
            return float((stats.t.cdf(x, DEGREES, t.mean[i], t.scale[i]) - (x >= y)) ** 2)

        below, _ = quad(squared, -np.inf, true, limit=400)
        above, _ = quad(squared, true, np.inf, limit=400)
        assert t.crps(truth)[i] == pytest.approx(below + above, abs=1e-7)
    np.testing.assert_allclose(t.crps(truth), scoringrules.crps_t(truth, DEGREES, t.mean, t.scale), rtol=1e-9)


def test_crps_is_twice_the_pinball_loss_over_all_quantiles() -> None:
    t = some_t(1)
    true = np.array([1.3])
    total, _ = quad(lambda p: pinball_loss(true, t.quantile(p), p), 0, 1, limit=400)
    assert t.crps(true)[0] == pytest.approx(2 * total, abs=1e-6)


def test_pinball_loss_by_hand_and_smallest_at_the_true_quantile() -> None:
    true = np.array([1.0, 4.0])
    assert pinball_loss(true, np.array([2.0, 2.0]), 0.25) == pytest.approx((0.75 * 1 + 0.25 * 2) / 2)
    draws = np.random.default_rng(1).normal(size=20_000)
    losses = {q: pinball_loss(draws, np.full_like(draws, q), 0.95) for q in (1.2, stats.norm.ppf(0.95), 2.1)}
    assert min(losses, key=lambda q: losses[q]) == stats.norm.ppf(0.95)


def test_coverage_counts_both_ends() -> None:
    assert inside(np.array([0.0, 1.0, 0.5, 1.1]), np.zeros(4), np.ones(4)).tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_truths_drawn_from_the_forecast_are_covered_as_promised_in_calm_and_wild_windows() -> None:
    random = np.random.default_rng(0)
    volatility = random.uniform(0.5, 2, 6_000)
    std = np.repeat(volatility[:, None], 4, axis=1)
    forecast = GaussianMixture(np.ones((6_000, 4, 1)), np.zeros((6_000, 4, 1)), std[..., None])
    true = std * random.standard_normal(std.shape)
    found = calibration(forecast, true, volatility)
    promised = {"50%": 0.5, "80%": 0.8, "90%": 0.9, "95%": 0.95}
    assert found.coverage == pytest.approx(promised, abs=0.01)
    assert found.coverage_by_volatility is not None
    assert list(found.coverage_by_volatility) == ["calm", "medium", "wild"]
    for coverage in found.coverage_by_volatility.values():
        assert coverage == pytest.approx(promised, abs=0.02)
    assert found.pit == pytest.approx([0.1] * 10, abs=0.01)
    assert found.log_score == pytest.approx(-stats.norm.logpdf(true, 0, std).mean())
    assert found.crps_per_step == pytest.approx(tuple(forecast.crps(true).mean(axis=0)))


def test_a_width_that_does_not_follow_the_market_shows_in_the_thirds() -> None:
    random = np.random.default_rng(0)
    volatility = np.linspace(0.5, 2, 3_000)
    one = np.ones((3_000, 1, 1))
    found = calibration(
        GaussianMixture(one, 0 * one, one), (volatility * random.standard_normal(3_000))[:, None], volatility
    )
    assert found.coverage_by_volatility is not None
    calm, medium, wild = (part["90%"] for part in found.coverage_by_volatility.values())
    assert calm > 0.95 > medium > 0.75 > wild


def test_thirds_hold_every_window_once_by_rank() -> None:
    volatility = np.array([5.0, 1, 3, 4, 2, 9, 7])
    thirds = volatility_thirds(volatility)
    assert [sorted(volatility[rows].tolist()) for rows in thirds.values()] == [[1, 2, 3], [4, 5], [7, 9]]


def test_a_distribution_without_width_has_no_log_score() -> None:
    one = np.ones((4, 2, 1))
    found = calibration(GaussianMixture(one, 0 * one, 1e-12 * one), np.full((4, 2), 0.01), np.ones(4))
    assert found.log_score is None
    assert found.crps == pytest.approx(0.01)
