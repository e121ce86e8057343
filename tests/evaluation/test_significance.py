"""How sure a difference is: against other libraries, written-out references, and simulated truth."""

import numpy as np
import pytest
import statsmodels.api as sm
from arch.bootstrap import optimal_block_length
from scipy import stats

from model_core.config.run import EvaluationSettings
from model_core.evaluation.significance import (
    Interval,
    block_length,
    block_means,
    compare,
    confidence_set,
    diebold_mariano,
    outcome_of,
    ratio_interval,
)

HORIZON = 10
SETTINGS = EvaluationSettings(bootstrap_replications=300)


def overlapping(random: np.random.Generator, count: int, horizon: int = HORIZON) -> np.ndarray:
    """[count] squared errors of windows that share all but one of their days, as forecasts of a walk do."""
    moves = random.standard_normal(count + horizon)
    return np.square([moves[i : i + horizon].sum() for i in range(count)])


def test_diebold_mariano_is_the_hac_t_statistic_of_statsmodels_with_the_small_sample_correction() -> None:
    random = np.random.default_rng(0)
    model, baseline = overlapping(random, 300), overlapping(random, 300)
    constant = np.ones(300)
    hac = sm.OLS(model - baseline, constant).fit(
        cov_type="HAC", cov_kwds={"maxlags": HORIZON - 1, "kernel": "bartlett", "use_correction": False}
    )
    harvey = np.sqrt((300 + 1 - 2 * HORIZON + HORIZON * (HORIZON - 1) / 300) / 300)
    statistic, p_value = diebold_mariano(model, baseline, HORIZON)
    assert statistic == pytest.approx(float(hac.tvalues[0]) * harvey, rel=1e-9)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(statistic), df=299), rel=1e-9)


def test_at_horizon_one_diebold_mariano_is_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    model, baseline = random.standard_normal(80), random.standard_normal(80)
    expected = stats.ttest_rel(model, baseline)
    statistic, p_value = diebold_mariano(model, baseline, horizon=1)
    assert (statistic, p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_identical_losses_do_not_differ() -> None:
    losses = overlapping(np.random.default_rng(2), 100)
    assert diebold_mariano(losses, losses, HORIZON) == (0.0, 1.0)
    found = compare(losses, losses, horizon=HORIZON, replications=100, confidence=0.95, seed=0)
    assert (found.skill.low, found.skill.value, found.skill.high) == (0.0, 0.0, 0.0)
    assert found.outcome == "no evidence either way"


@pytest.mark.parametrize("block", [1, 7, 24, 50])
def test_block_means_are_the_means_of_the_resampled_days(block: int) -> None:
    """The cumulated sums against a loop that lays block after block around the circle."""
    series, replications = np.random.default_rng(3).standard_normal((50, 2)), 20
    starts = np.random.default_rng(11).integers(0, 50, size=(replications, -(-50 // block)))
    expected = []
    for row in starts:
        days = [(start + i) % 50 for start in row for i in range(block)][:50]
        expected.append(series[days].mean(axis=0))
    np.testing.assert_allclose(block_means(series, block, replications, seed=11), expected, atol=1e-12)


def test_blocks_are_as_long_as_arch_says_and_never_shorter_than_two_horizons() -> None:
    random = np.random.default_rng(4)
    noise = random.standard_normal(500)
    slow = np.convolve(random.standard_normal(800), np.ones(120), "valid")
    assert block_length(noise, HORIZON) == 2 * HORIZON
    expected = int(np.ceil(optimal_block_length(slow)["circular"].iloc[0]))
    assert block_length(slow, HORIZON) == expected > 2 * HORIZON
    assert block_length(np.zeros(500), HORIZON) == 2 * HORIZON
    assert block_length(noise[:12], HORIZON) == 12


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two forecasts of one walk with a known ratio of losses, 300 simulated test spans of 500 windows."""
    random = np.random.default_rng(5)
    covered = []
    for _ in range(300):
        common = overlapping(random, 500)
        # The extra error has mean 0.5 and overlaps in time as the windows do.
        extra = overlapping(random, 500) / (2 * HORIZON)
        interval, _ = ratio_interval(
            common + extra, common, block=2 * HORIZON, replications=200, confidence=0.95, seed=0
        )
        truth = (HORIZON + 0.5) / HORIZON
        covered.append(interval.low <= truth <= interval.high)
    assert 0.88 < np.mean(covered) < 0.98


def test_an_interval_that_ignores_the_overlap_is_far_too_narrow() -> None:
    """Why blocks: resampling single windows would call noise a finding."""
    losses = overlapping(np.random.default_rng(6), 800)
    other = overlapping(np.random.default_rng(7), 800)

    def width(block: int) -> float:
        interval, _ = ratio_interval(losses, other, block=block, replications=500, confidence=0.95, seed=0)
        return interval.high - interval.low

    assert width(2 * HORIZON) > 2 * width(1)


def test_a_planted_skill_of_the_minimum_detectable_size_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(8)

    def outcome(effect: float) -> tuple[str, float]:
        baseline = 10 + random.standard_normal(400)
        model = (1 - effect) * 10 + random.standard_normal(400)
        found = compare(model, baseline, horizon=1, replications=200, confidence=0.95, seed=1)
        return found.outcome, found.minimum_detectable_effect

    effect = float(np.mean([outcome(0.0)[1] for _ in range(20)]))
    found = [outcome(effect)[0] == "better" for _ in range(200)]
    assert 0.7 < np.mean(found) < 0.9


def test_noise_is_rarely_called_a_difference() -> None:
    random = np.random.default_rng(9)
    outcomes = [
        compare(
            overlapping(random, 300), overlapping(random, 300),
            horizon=HORIZON, replications=200, confidence=0.95, seed=2,
        ).outcome
        for _ in range(100)
    ]  # fmt: skip
    assert outcomes.count("no evidence either way") >= 80


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.01, 0.05, "better"),
        (-0.05, -0.01, "worse"),
        (-0.01, 0.05, "no evidence either way"),
        (0.0, 0.05, "no evidence either way"),
        (-0.05, 0.0, "no evidence either way"),
    ],
)
def test_the_verdict_follows_from_the_interval_alone(low: float, high: float, outcome: str) -> None:
    assert outcome_of(Interval(0.02, low, high)) == outcome


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(10)
    model, baseline = overlapping(random, 200), overlapping(random, 200)
    first, again, other = (
        compare(model, baseline, horizon=HORIZON, replications=100, confidence=0.95, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_confidence_set_keeps_the_best_and_its_equals_and_drops_a_bad_forecast() -> None:
    random = np.random.default_rng(11)
    common = overlapping(random, 400)
    losses = {
        "good": common + random.standard_normal(400),
        "as good": common + random.standard_normal(400),
        "bad": common + 5 + random.standard_normal(400),
    }
    assert confidence_set(losses, HORIZON, SETTINGS) == ["good", "as good"]
    assert confidence_set(losses | {"twin": losses["good"]}, HORIZON, SETTINGS) == ["good", "as good", "twin"]
    assert confidence_set({"alone": common}, HORIZON, SETTINGS) == ["alone"]
