"""How sure a difference is: interval, test and verdict agree, and there is none where there is too little to say."""

import numpy as np
import pytest

from model_core.evaluation.significance import compare, diebold_mariano, outcome_of, too_few_windows

HORIZON = 10


def overlapping(random: np.random.Generator, count: int, horizon: int = HORIZON) -> np.ndarray:
    """[count] squared errors of windows that share all but one of their days, as forecasts of a walk do."""
    moves = random.standard_normal(count + horizon)
    return np.square([moves[i : i + horizon].sum() for i in range(count)])


def test_identical_losses_do_not_differ() -> None:
    losses = overlapping(np.random.default_rng(2), 100)
    test = diebold_mariano(losses, losses, HORIZON)
    assert (test.statistic, test.p_value) == (0.0, 1.0)
    found = compare(losses, losses, horizon=HORIZON, confidence=0.95)
    assert (found.low, found.skill, found.high, found.minimum_detectable_effect) == (0.0, 0.0, 0.0, 0.0)
    assert found.outcome == "no evidence either way"


def test_the_interval_leaves_zero_out_exactly_if_the_test_finds_a_difference() -> None:
    random = np.random.default_rng(3)
    found = []
    for _ in range(200):
        common = overlapping(random, 400)
        shift = random.uniform(-0.5, 0.5)
        found.append(
            compare(common + shift + overlapping(random, 400) / 20, common + 0.5, horizon=10, confidence=0.95)
        )
    assert {c.outcome for c in found} >= {"better", "worse", "no evidence either way"}
    for comparison in found:
        assert comparison.dm_p_value is not None
        assert (comparison.dm_p_value < 0.05) == (comparison.outcome in ("better", "worse"))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two forecasts of one walk with a known ratio of losses, 400 simulated test spans of 500 windows."""
    random = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        common = overlapping(random, 500)
        # The extra error has mean 0.5 and overlaps in time as the windows do.
        extra = overlapping(random, 500) / (2 * HORIZON)
        found = compare(common + extra, common, horizon=HORIZON, confidence=0.95)
        truth = 1 - (HORIZON + 0.5) / HORIZON
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= truth <= found.high)
    assert 0.92 < np.mean(covered) < 0.99


def test_a_planted_skill_of_the_minimum_detectable_size_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(8)

    def found(effect: float) -> tuple[str, float]:
        baseline = 10 + random.standard_normal(400)
        model = (1 - effect) * 10 + random.standard_normal(400)
        comparison = compare(model, baseline, horizon=1, confidence=0.95)
        assert comparison.minimum_detectable_effect is not None
        return comparison.outcome, comparison.minimum_detectable_effect

    effect = float(np.mean([found(0.0)[1] for _ in range(50)]))
    assert 0.7 < np.mean([found(effect)[0] == "better" for _ in range(300)]) < 0.9


@pytest.mark.parametrize("count", [1, 2, 8, 20, 41, 49])
def test_below_five_independent_windows_there_is_no_verdict_and_a_reason(count: int) -> None:
    """Also where the model is twice as bad in every window."""
    losses = overlapping(np.random.default_rng(count), count)
    found = compare(2 * losses, losses, horizon=HORIZON, confidence=0.95)
    assert found.outcome == "no verdict"
    assert found.skill == pytest.approx(-1)
    assert (found.low, found.high, found.dm_p_value, found.minimum_detectable_effect) == (None,) * 4
    assert found.reason is not None
    assert f"{count} window" in found.reason


def test_fifty_windows_of_ten_days_are_enough_and_so_are_five_that_share_no_day() -> None:
    assert too_few_windows(50, 10) is None
    assert too_few_windows(5, 1) is None
    assert too_few_windows(4, 1) is not None
    losses = np.full(60, 10.0)
    found = compare(
        losses + np.random.default_rng(0).standard_normal(60), 2 * losses, horizon=10, confidence=0.95
    )
    assert found.outcome == "better"


def test_a_baseline_without_error_gives_no_ratio_and_no_verdict() -> None:
    found = compare(np.ones(100), np.zeros(100), horizon=1, confidence=0.95)
    assert (found.skill, found.outcome) == (None, "no verdict")
    assert "no error" in str(found.reason)


def test_a_difference_that_never_varies_gives_no_verdict() -> None:
    found = compare(np.full(100, 2.0), np.full(100, 3.0), horizon=1, confidence=0.95)
    assert found.outcome == "no verdict"
    assert "same amount" in str(found.reason)


def test_a_baseline_whose_error_is_one_single_day_gives_no_verdict() -> None:
    """A market that moves once: the mean error rests on ten windows that share that day."""
    baseline, model = np.zeros(200), np.zeros(200)
    baseline[90:100], model[90:100] = 1.0, 0.9
    found = compare(model, baseline, horizon=HORIZON, confidence=0.95)
    assert found.outcome == "no verdict"
    assert "varies too much" in str(found.reason)


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
    assert outcome_of(low, high) == outcome


@pytest.mark.parametrize(
    ("count", "horizon", "said"),
    [
        (1, 3, "there is only 1 window, and a verdict needs 5 independent ones"),
        (4, 1, "there are only 4 windows, and a verdict needs 5 independent ones"),
        (5, 3, "5 windows that share days with their neighbors hold only 1.6"),
    ],
)
def test_too_few_windows_are_counted_as_they_are(count: int, horizon: int, said: str) -> None:
    assert said in str(too_few_windows(count, horizon))
