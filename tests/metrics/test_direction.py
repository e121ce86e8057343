"""The test of direction: right at chance, sensitive to skill, silent where it means nothing."""

import numpy as np
import pytest
from scipy.stats import norm

from model_core.metrics.direction import direction_score, pesaran_timmermann
from model_core.results.scores import DirectionTest


def p_value(found: DirectionTest) -> float:
    assert found.p_value is not None
    return found.p_value


def test_the_statistic_is_the_published_one() -> None:
    """20 windows: 12 rises, 10 of 20 called up, 8 rises called; worked out by hand from the 1992 paper."""
    up = np.array([True] * 12 + [False] * 8)
    said = np.array([True] * 8 + [False] * 4 + [True] * 2 + [False] * 6)
    y, x, right = 0.6, 0.5, 14 / 20
    chance = y * x + (1 - y) * (1 - x)
    v_right = chance * (1 - chance) / 20
    v_chance = (2 * y - 1) ** 2 * x * (1 - x) / 20 + (2 * x - 1) ** 2 * y * (1 - y) / 20
    v_chance += 4 * y * x * (1 - y) * (1 - x) / 20**2
    expected = (right - chance) / (v_right - v_chance) ** 0.5
    found = pesaran_timmermann(up, said, at_least=20)
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(norm.sf(expected))


def test_a_forecast_without_skill_is_found_significant_at_the_nominal_rate() -> None:
    random = np.random.default_rng(0)
    rejected = [
        p_value(pesaran_timmermann(random.random(200) < 0.6, random.random(200) < 0.7)) < 0.05
        for _ in range(1000)
    ]
    assert 0.03 < np.mean(rejected) < 0.07


def test_a_forecast_that_is_right_two_times_in_three_is_found() -> None:
    random = np.random.default_rng(1)
    up = random.random(300) < 0.55
    said = np.where(random.random(300) < 0.67, up, ~up)
    assert p_value(pesaran_timmermann(up, said)) < 0.001


@pytest.mark.parametrize(("up", "said", "who"), [(0.0, 0.5, "market"), (0.5, 1.1, "forecast")])
def test_one_direction_only_cannot_be_tested_and_says_why(up: float, said: float, who: str) -> None:
    random = np.random.default_rng(2)
    found = pesaran_timmermann(random.random(50) < up, random.random(50) < said)
    assert found.statistic is None
    assert found.reason is not None
    assert who in found.reason


def test_accuracy_counts_every_window_and_the_test_only_those_that_share_no_day() -> None:
    true, forecast = np.array([1.0, -1, 1, 1, -1, 1]), np.array([1.0, 1, 1, -1, -1, 1])
    found = direction_score(true, forecast, step=2)
    assert found.accuracy == 4 / 6
    assert found.majority_accuracy == 4 / 6
    assert found.share_forecast_up == 4 / 6
    assert found.pesaran_timmermann.windows == 3


def test_below_thirty_independent_windows_skill_in_direction_is_not_tested() -> None:
    up = np.arange(29) % 2 == 0
    found = pesaran_timmermann(up, up)
    assert (found.statistic, found.p_value) == (None, None)
    assert found.reason is not None
    assert "29 windows that share no day are too few" in found.reason
    longer = np.arange(30) % 2 == 0
    assert p_value(pesaran_timmermann(longer, longer)) < 0.01
