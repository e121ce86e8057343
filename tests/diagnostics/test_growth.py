"""Fragile means: the error surely grows, surely more than a random walk's, and by more than the smallest effect."""

import numpy as np
import pytest

from model_core.config.run import DiagnosticsSettings
from model_core.diagnostics.growth import compare_growth
from model_core.results.findings import GrowthComparison

SETTINGS = DiagnosticsSettings()


def found(
    model: float, walk: float, count: int = 200, overlap: int = 1, noise: float = 0.01
) -> GrowthComparison:
    """Errors of ``count`` windows that grow by these factors, give or take ``noise`` in each window."""
    random = np.random.default_rng(0)
    clean = random.lognormal(size=count)
    grown = [clean * (factor + noise * random.standard_normal(count)) for factor in (model, walk)]
    return compare_growth((grown[0], clean), (grown[1], clean), overlap, SETTINGS)


def number(value: float | None) -> float:
    """A value that is not missing."""
    assert value is not None
    return value


def test_a_model_that_loses_more_than_the_walk_is_fragile_even_if_both_ratios_are_uncertain() -> None:
    row = found(1.30, 1.20)
    assert number(row.degradation.low) < number(row.degradation.ratio) < number(row.degradation.high)
    assert row.excess == pytest.approx(0.10, abs=0.005)
    assert number(row.excess_low) < number(row.excess) < number(row.excess_high)
    assert row.fragile is True


@pytest.mark.parametrize(
    ("model", "walk"),
    [
        (1.04, 1.0),  # sure, and smaller than anybody would mind
        (1.25, 1.30),  # loses less than the walk
        (0.95, 0.90),  # loses more than the walk, which gains; but it gains, too
        (1.0, 1.0),
        (1.001, 0.96),  # stays as it is, surely a little above; the walk happens to gain
    ],
)
def test_a_model_is_not_fragile_without_a_growth_that_matters(model: float, walk: float) -> None:
    assert found(model, walk, noise=1e-4).fragile is False


def test_an_excess_that_may_be_chance_is_not_fragile() -> None:
    row = found(1.16, 1.0, noise=0.5)
    assert number(row.excess) > SETTINGS.smallest_effect
    assert number(row.excess_low) < 0
    assert row.fragile is False


def test_where_the_walk_reads_nothing_of_it_the_growth_is_judged_alone() -> None:
    """A walk that reads no sky loses exactly × 1 under an attack on the sky."""
    clean = np.ones(200) + 0.1 * np.random.default_rng(2).random(200)
    for growth, fragile in ((1.02, False), (1.2, True)):
        row = compare_growth((growth * clean, clean), (clean, clean), 1, SETTINGS, walk_reads=False)
        assert (row.fragile, row.walk_reads) == (fragile, False)


def test_too_few_independent_windows_judge_nothing_and_say_so() -> None:
    row = found(3.0, 1.0, count=16, overlap=10)
    assert row.degradation.ratio == pytest.approx(3.0, abs=0.05)
    assert (row.degradation.low, row.excess_low, row.fragile) == (None, None, None)
    assert "16 windows" in (row.fragile_reason or "")
    assert found(3.0, 1.0, count=64, overlap=1).fragile is True


def test_without_a_clean_error_no_growth_is_measured() -> None:
    none, some = np.zeros(100), np.ones(100)
    row = compare_growth((some, none), (some, some), 1, SETTINGS)
    assert (row.degradation.ratio, row.excess, row.fragile) == (None, None, None)
    assert "the model makes no error on clean input" in (row.fragile_reason or "")


def test_equal_growth_is_rarely_called_an_excess() -> None:
    """1,000 markets of 60 overlapping windows; both lose alike, each with noise of its own."""
    random = np.random.default_rng(1)
    claims = []
    for _ in range(1000):
        moves = np.convolve(random.standard_normal(69), np.ones(10), "valid")
        own = [np.convolve(random.standard_normal(69), np.ones(10), "valid") for _ in range(4)]
        clean = [np.abs(moves - 0.3 * noise) for noise in own[:2]]
        worse = [np.abs(moves - 2 * noise) for noise in own[2:]]
        row = compare_growth((worse[0], clean[0]), (worse[1], clean[1]), 10, SETTINGS)
        claims.append(number(row.excess_low) > 0 or number(row.excess_high) < 0)
    assert np.mean(claims) < 0.075
