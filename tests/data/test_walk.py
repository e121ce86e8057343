"""The structured random walk and its scale: least squares, the share of the drift, likelihood, and blindness."""

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.optimize import minimize

from model_core.axes import CLOSE, HIGH, LOW, TARGETS
from model_core.data.dataset import MarketDataset
from model_core.data.har import MIN_SIGMA, HarScale, fit_har_scale, har_days, mean_ranges
from model_core.data.prepare import prepare
from model_core.data.splits import Span, Splits
from model_core.data.walk import (
    FIRST_FIT,
    ROLLING_BLOCKS,
    KnownRanges,
    displacements,
    drift_share,
    expected_share,
    fit_structured_walk,
    fit_variants,
    least_squares_walk,
    range_scale,
    rolling_blocks,
)
from model_core.results.dataset import Variant
from tests.data.market import SETTINGS, noise_dataset

HORIZON = 3


@pytest.fixture(scope="module")
def dataset() -> MarketDataset:
    """Windows of 30 days, so that a month fits in."""
    window = SETTINGS.window.model_copy(update={"seq_len": 30})
    return prepare("sample://synthetic", SETTINGS.model_copy(update={"window": window}))


def mean_range(prices: np.ndarray, row: int, days: int) -> float:
    """By hand: mean log High − Low of the last rows."""
    return sum(float(prices[r, HIGH] - prices[r, LOW]) for r in range(row - days + 1, row + 1)) / days


def market(drift: np.ndarray, noise: float = 0.001, seed: int = 3) -> KnownRanges:
    """Log prices whose Close moves by ``drift`` a day, with ranges that come and go."""
    rows, random = np.arange(len(drift)), np.random.default_rng(seed)
    half = 0.01 * (1.2 + np.sin(rows / 12)) * random.uniform(0.7, 1.3, len(drift))
    close = np.cumsum(drift) + noise * random.standard_normal(len(drift)).cumsum()
    return KnownRanges.of(np.stack([close, close + half, close - half, close], axis=1), 20, (1, 5, 22))


SPLITS = Splits(train=Span(30, 500), validation=Span(502, 600), test=Span(602, 690))


def test_the_har_walk_is_the_plain_regression_on_ranges_of_a_day_a_week_and_a_month(
    dataset: MarketDataset,
) -> None:
    """Against statsmodels, on columns built by hand."""
    prices, train = dataset.log_prices, dataset.splits.train
    rows = range(train.first, train.stop)
    columns = sm.add_constant(np.array([[mean_range(prices, r, days) for days in (1, 5, 22)] for r in rows]))
    walk = least_squares_walk(dataset.known_ranges, train, HORIZON, "har")
    for h in range(1, HORIZON + 1):
        for k in range(len(TARGETS)):
            y = [prices[r + h, k] - prices[r, CLOSE] for r in rows]
            expected = sm.OLS(y, columns).fit().params
            found = [walk.a[h - 1, k], *walk.c[:, h - 1, k]]
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)
            assert walk.b[h - 1, k] == 0


@pytest.mark.parametrize("constant", [True, False])
def test_the_other_variants_are_least_squares_on_the_scale(dataset: MarketDataset, constant: bool) -> None:
    prices, train = dataset.log_prices, dataset.splits.train
    rows = np.arange(train.first, train.stop)
    scale = range_scale(prices, dataset.scale_rows)[rows]
    columns = sm.add_constant(scale) if constant else scale[:, None]
    expected = sm.OLS(prices[rows + 2, HIGH] - prices[rows, CLOSE], columns).fit().params
    variant: Variant = "range" if constant else "geometry"
    walk = least_squares_walk(dataset.known_ranges, train, HORIZON, variant)
    found = [walk.a[1, HIGH], walk.b[1, HIGH]] if constant else [walk.b[1, HIGH]]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert not walk.c.any()
    assert walk.a.any() == constant


def test_every_variant_is_its_candle_about_the_same_share_of_the_har_drift(dataset: MarketDataset) -> None:
    known, test = dataset.known_ranges, dataset.splits.test
    share = drift_share(known, dataset.splits, HORIZON)
    har = known.displacement(least_squares_walk(known, dataset.splits.train, HORIZON, "har"), test)
    for name, walk in fit_variants(known, dataset.splits, HORIZON).items():
        plain = known.displacement(least_squares_walk(known, dataset.splits.train, HORIZON, name), test)
        found = known.displacement(walk, test)
        np.testing.assert_allclose(found[..., CLOSE], share * har[..., CLOSE], atol=1e-12)
        np.testing.assert_allclose(
            found - found[..., [CLOSE]], plain - plain[..., [CLOSE]], atol=1e-12, err_msg=name
        )


def test_validation_chooses_the_variant_whose_candle_has_the_smallest_error(dataset: MarketDataset) -> None:
    known, validation = dataset.known_ranges, dataset.splits.validation
    true = displacements(dataset.log_prices, validation, HORIZON)
    walks = fit_variants(known, dataset.splits, HORIZON)
    mae, rmse = {}, {}
    for name, walk in walks.items():
        found = known.displacement(walk, validation)
        mae[name] = np.abs(found - true).mean()
        squares = [
            ((found[..., k] - found[..., CLOSE]) - (true[..., k] - true[..., CLOSE])) ** 2
            for k in range(CLOSE)
        ]
        rmse[name] = np.mean(squares) ** 0.5
    chosen = fit_structured_walk(known, dataset.splits, HORIZON)
    assert chosen.variant == min(rmse, key=lambda name: rmse[name])
    assert chosen.validation_mae == pytest.approx(mae)
    assert chosen.validation_candle_rmse == pytest.approx(rmse)


def test_which_way_the_validation_year_goes_does_not_choose_the_candle() -> None:
    """The same ranges, once in a year that soars and once in one that falls."""
    errors = []
    for validation in (0.02, -0.02):
        drift = np.where(np.arange(700) < SPLITS.train.stop + HORIZON, 0.0002, validation)
        walks = fit_variants(market(drift, noise=0.0), SPLITS, HORIZON)
        errors.append(next(iter(walks.values())).validation_candle_rmse)
    assert errors[0] == pytest.approx(errors[1], rel=1e-6)


def test_the_share_of_the_drift_is_what_rolling_origins_make_of_it() -> None:
    """The whole rule once more: blocks in loops, and the mean of SciPy's normal distribution cut off at 0 and 1."""
    random = np.random.default_rng(8)
    known = market(0.0006 * (1 + random.standard_normal(700)), noise=0.004)
    first, stop = SPLITS.train.first, SPLITS.validation.stop
    edges = [
        int(first + (FIRST_FIT + (1 - FIRST_FIT) * i / ROLLING_BLOCKS) * (stop - first))
        for i in range(ROLLING_BLOCKS + 1)
    ]
    agreement, size = [], []
    for begin, end in pairwise(edges):
        fitted = range(first, begin + 1 - HORIZON)
        x = sm.add_constant(np.array([known.ranges[r] for r in fitted]))
        said, true = [], []
        for h in range(1, HORIZON + 1):
            y = [known.log_prices[r + h, CLOSE] - known.log_prices[r, CLOSE] for r in fitted]
            weights = sm.OLS(y, x).fit().params
            for r in range(begin, end):
                said.append(weights[0] + weights[1:] @ known.ranges[r])
                true.append(known.log_prices[r + h, CLOSE] - known.log_prices[r, CLOSE])
        unit = sum(t**2 for t in true)
        agreement.append(sum(s * t for s, t in zip(said, true, strict=True)) / unit)
        size.append(sum(s**2 for s in said) / unit)
    best = sum(agreement) / sum(size)
    scatter = sum((a - best * q) ** 2 for a, q in zip(agreement, size, strict=True))
    error = (scatter * 8 / 7) ** 0.5 / sum(size) * stats.t(7).std()
    belief = stats.truncnorm(-best / error, (1 - best) / error, loc=best, scale=error)
    found = drift_share(known, SPLITS, HORIZON)
    assert found == pytest.approx(belief.mean(), abs=1e-6)
    assert 0.1 < found < 0.9


def test_the_share_is_between_what_all_blocks_agree_on_and_a_half_where_they_tell_nothing() -> None:
    size = np.full(8, 0.01)
    for share, kept in ((-3.0, 0.0), (0.25, 0.25), (9.0, 1.0)):
        assert expected_share(share * size, size) == pytest.approx(kept, abs=1e-9)
    noise = np.random.default_rng(1).standard_normal(8)
    assert expected_share(size * 0.25 + noise, size) == pytest.approx(0.5, abs=0.01)
    assert expected_share(-5 * size + 0.01 * noise, size) < 0.1
    assert expected_share(noise, np.zeros(8)) == 0.0
    far = expected_share(-1e6 * size + 0.001 * noise, size)
    assert 0 <= far < 0.01, "so far from 0 that each density by itself is 0"
    agreement = size * 0.3 + 0.001 * noise
    for unit in (1e-200, 1e150):
        assert expected_share(unit * agreement, unit * size) == pytest.approx(expected_share(agreement, size))


def test_a_drift_that_goes_on_is_kept_and_one_that_turns_is_not() -> None:
    steady = np.full(700, 0.004)
    turning = np.where(np.arange(700) < 300, 0.004, -0.001)
    assert drift_share(market(steady), SPLITS, HORIZON) >= 0.9
    assert drift_share(market(turning), SPLITS, HORIZON) < 0.1


def test_no_drift_is_kept_where_there_is_too_little_to_tell() -> None:
    """A Close that does not move, and blocks shorter than the horizon."""
    assert drift_share(market(np.zeros(700), noise=0.0), SPLITS, HORIZON) == 0
    short = Splits(train=Span(30, 50), validation=Span(52, 56), test=Span(58, 60))
    assert rolling_blocks(Span(30, 56), HORIZON) == []
    assert drift_share(market(np.full(700, 0.004)), short, HORIZON) == 0


def test_no_block_is_forecast_by_a_fit_that_saw_a_day_of_it() -> None:
    blocks = rolling_blocks(Span(30, 600), HORIZON)
    assert len(blocks) == ROLLING_BLOCKS
    assert blocks[-1][1].stop == 600
    for before, block in blocks:
        assert before.stop - 1 + HORIZON == block.first
    for (_, left), (_, right) in pairwise(blocks):
        assert left.stop == right.first


def test_walk_and_scale_know_nothing_of_the_test_days(dataset: MarketDataset) -> None:
    first_unknown = dataset.splits.validation.stop + HORIZON
    prices = dataset.log_prices.copy()
    prices[first_unknown:] += 0.5
    known = KnownRanges.of(prices, dataset.scale_rows, dataset.walk.days)
    walk = fit_structured_walk(known, dataset.splits, HORIZON)
    for name in ("a", "b", "c"):
        np.testing.assert_array_equal(getattr(walk, name), getattr(dataset.walk, name))
    assert (walk.variant, walk.drift_share) == (dataset.walk.variant, dataset.walk.drift_share)


def test_coefficients_are_blind_to_validation(dataset: MarketDataset) -> None:
    """Validation only chooses among them."""
    prices = dataset.log_prices.copy()
    prices[dataset.splits.train.stop + HORIZON :] += 0.5
    known = KnownRanges.of(prices, dataset.scale_rows, dataset.walk.days)
    for name in get_args(Variant):
        found = least_squares_walk(known, dataset.splits.train, HORIZON, name)
        expected = least_squares_walk(dataset.known_ranges, dataset.splits.train, HORIZON, name)
        np.testing.assert_array_equal(found.c, expected.c)
        np.testing.assert_array_equal(found.b, expected.b)


def test_a_market_without_any_range_does_not_divide_by_zero() -> None:
    flat = np.zeros((50, 4))
    assert (range_scale(flat, 20)[19:] > 0).all()


def test_ranges_are_means_of_the_last_rows_and_unknown_before() -> None:
    prices = noise_dataset().log_prices
    found = mean_ranges(prices, (1, 5, 22))
    for column, days in enumerate((1, 5, 22)):
        assert np.isnan(found[: days - 1, column]).all()
        for row in (days - 1, 40, len(prices) - 1):
            assert found[row, column] == pytest.approx(mean_range(prices, row, days))


def test_a_window_shorter_than_a_month_has_its_own_length_in_the_months_place() -> None:
    assert har_days(250) == har_days(22) == (1, 5, 22)
    assert har_days(16) == (1, 5, 16)
    assert noise_dataset().walk.days == noise_dataset().har_scale.days == (1, 5, 16)


def surprise(coefficients: np.ndarray, columns: np.ndarray, errors: np.ndarray) -> float:
    sigma = columns @ coefficients
    return float(np.mean(np.log(sigma) + errors**2 / (2 * sigma**2)))


def test_the_scale_is_as_likely_as_what_scipy_finds(dataset: MarketDataset) -> None:
    """Fisher's scoring against a bounded quasi-Newton method, for every step and target."""
    known, train = dataset.known_ranges, dataset.splits.train
    rows = slice(train.first, train.stop)
    errors = displacements(dataset.log_prices, train, HORIZON) - known.displacement(dataset.walk, train)
    np.testing.assert_array_equal(
        fit_har_scale(known.ranges[rows], errors, known.days).coefficients, dataset.har_scale.coefficients
    )
    columns = np.column_stack([np.ones(len(errors)), known.ranges[rows]])
    for h in range(HORIZON):
        for k in range(len(TARGETS)):
            e, size = errors[:, h, k], errors[:, h, k].std()
            unit = columns.mean(0) / size
            best = minimize(
                lambda c, e=e, unit=unit: surprise(c / unit, columns, e),
                np.full(4, 0.25),
                bounds=[(1e-6, None)] + [(0, None)] * 3,
                method="L-BFGS-B",
                options={"maxiter": 5000, "maxfun": 50000, "ftol": 1e-13, "gtol": 1e-8},
            )
            found = surprise(dataset.har_scale.coefficients[:, h, k], columns, e)
            assert found <= best.fun + 1e-7
    assert (dataset.har_scale.coefficients >= 0).all()


def test_the_scale_finds_what_was_planted() -> None:
    random = np.random.default_rng(4)
    ranges = np.abs(random.normal(0.01, 0.004, (20_000, 3)))
    planted = np.array([0.002, 0.3, 0.0, 0.6])
    sigma = planted[0] + ranges @ planted[1:]
    errors = (sigma * random.standard_normal(len(ranges)))[:, None, None]
    found = fit_har_scale(ranges, errors, (1, 5, 22))
    np.testing.assert_allclose(found.coefficients[:, 0, 0], planted, atol=0.03)
    assert found.sigma(ranges)[:, 0, 0] == pytest.approx(sigma, rel=0.05)


def test_a_market_without_errors_or_ranges_has_the_smallest_scale_and_no_zero() -> None:
    for ranges in (np.zeros((40, 3)), np.full((40, 3), 0.01)):
        found = fit_har_scale(ranges, np.zeros((40, 2, 4)), (1, 5, 22))
        sigma = found.sigma(ranges)
        assert np.isfinite(sigma).all()
        assert (sigma >= MIN_SIGMA).all()
        assert sigma.max() < 1e-6


def test_walk_and_scale_survive_json(dataset: MarketDataset) -> None:
    walk = type(dataset.walk).from_json(dataset.walk.to_json())
    assert walk.to_json() == dataset.walk.to_json()
    np.testing.assert_array_equal(walk.c, dataset.walk.c)
    assert HarScale.from_json(dataset.har_scale.to_json()).to_json() == dataset.har_scale.to_json()
    assert replace(walk, drift_share=0.5) != walk
