"""Fixed-smoothing tests against written-out formulas, and what they promise on simulated markets."""

import numpy as np
import pytest
from scipy import stats

from model_core.evaluation.smoothing import (
    cosine_coefficients,
    critical_value,
    degrees_of_freedom,
    detectable_shift,
    mean_test,
    ratio_set,
)

HORIZON = 10


def sums(random: np.random.Generator, count: int, horizon: int = HORIZON) -> np.ndarray:
    """[count] sums of ``horizon`` neighboring independent days."""
    return np.convolve(random.standard_normal(count + horizon - 1), np.ones(horizon), "valid")


def test_cosine_coefficients_are_the_sums_of_their_definition() -> None:
    series = np.random.default_rng(0).standard_normal((83, 2))
    found = cosine_coefficients(series, HORIZON)
    expected = [
        [
            sum(
                series[t, k] * np.cos(np.pi * j * (t + 0.5) / 83) * np.sqrt((1 if j == 0 else 2) / 83)
                for t in range(83)
            )
            for k in range(2)
        ]
        for j in range(4)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("count", "horizon", "degrees"),
    [(8, 10, 1), (50, 10, 2), (61, 10, 2), (500, 10, 20), (998, 10, 39), (998, 1, 39)],
)
def test_degrees_of_freedom_follow_the_independent_windows_up_to_a_limit(
    count: int, horizon: int, degrees: int
) -> None:
    assert degrees_of_freedom(count, horizon) == degrees


def test_the_statistic_is_the_mean_over_its_standard_error() -> None:
    series = 0.3 + sums(np.random.default_rng(1), 200)
    found = mean_test(series, HORIZON)
    waves = cosine_coefficients(series, HORIZON)[1:]
    assert found.mean == pytest.approx(series.mean())
    assert found.standard_error == pytest.approx(np.sqrt(np.square(waves).mean() / 200))
    assert found.statistic == pytest.approx(found.mean / found.standard_error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.statistic), df=8))


def test_a_standard_error_that_ignores_the_overlap_would_be_far_too_small() -> None:
    series = sums(np.random.default_rng(6), 800)
    assert mean_test(series, HORIZON).standard_error > 2 * series.std() / np.sqrt(800)


def test_a_series_of_zeros_has_the_p_value_one() -> None:
    found = mean_test(np.zeros(100), HORIZON)
    assert (found.statistic, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_the_ratio_set_holds_a_ratio_exactly_if_the_test_does_not_reject_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    top, bottom = 10 + sums(random, 150), 9 + sums(random, 150)
    ends = ratio_set(top, bottom, HORIZON, 0.95)
    assert ends is not None
    low, high = ends
    assert low < top.mean() / bottom.mean() < high
    for end in ends:
        assert mean_test(top - end * bottom, HORIZON).p_value == pytest.approx(0.05)
    for ratio in np.linspace(low - 0.3, high + 0.3, 13):
        inside = bool(low <= ratio <= high)
        assert inside == (mean_test(top - ratio * bottom, HORIZON).p_value >= 0.05)


def test_there_is_no_ratio_set_where_the_denominator_may_be_zero() -> None:
    random = np.random.default_rng(2)
    assert ratio_set(sums(random, 60), 0.1 * sums(random, 60), HORIZON, 0.95) is None


def test_the_detectable_shift_is_found_four_times_in_five() -> None:
    for degrees in (2, 8, 39):
        limit, shift = critical_value(degrees, 0.95), detectable_shift(degrees, 0.95)
        random = np.random.default_rng(degrees)
        noise = np.sqrt(random.chisquare(degrees, 20_000) / degrees)
        found = np.abs((shift + random.standard_normal(20_000)) / noise) > limit
        assert np.mean(found) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("count", [50, 91, 200])
def test_noise_is_called_a_difference_in_about_one_market_in_twenty(count: int) -> None:
    """2,000 markets know 6 % to half a point; the benchmark has the whole table."""
    random = np.random.default_rng(3)
    claims = [mean_test(sums(random, count), HORIZON).p_value < 0.05 for _ in range(2000)]
    assert np.mean(claims) < 0.07
