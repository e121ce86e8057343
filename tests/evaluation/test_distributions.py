"""The probabilistic bars: each against what it is said to be, and blind to what comes after the anchor."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arch import arch_model

from model_core.axes import CLOSE, TARGETS
from model_core.config.data import DataSettings, WindowSettings
from model_core.data.dataset import MarketDataset
from model_core.data.prepare import prepare
from model_core.data.splits import Span
from model_core.data.walk import least_squares_walk
from model_core.evaluation.distributions import DistributionForecast, baseline_distributions
from model_core.evaluation.garch import MIN_MOVES, Values, garch_close
from model_core.metrics.probabilistic import FIRST_DAY_SHARE, GaussianMixture, ewma_random_walk
from model_core.metrics.student import StudentT

TRAIN, TEST, HORIZON = Span(30, 1500), Span(1700, 1720), 5


@pytest.fixture(scope="module")
def dataset() -> MarketDataset:
    window = WindowSettings(seq_len=30, label_len=8, pred_len=HORIZON)
    return prepare("sample://nasdaq", DataSettings(window=window))


@pytest.fixture(scope="module")
def found(dataset: MarketDataset) -> dict[str, DistributionForecast]:
    forecasts, left_out = baseline_distributions(dataset, dataset.splits.test)
    assert left_out == {}
    return {forecast.name: forecast for forecast in forecasts}


def normal(forecast: DistributionForecast, target: str) -> GaussianMixture:
    marginal = forecast.targets[target]
    assert isinstance(marginal, GaussianMixture)
    return marginal


def garch_parameters(found: StudentT, log_close: Values) -> Values:
    """ω, α, β, ν read off the forecasts, whose recursion they make."""
    step = np.diff(found.scale**2 * found.degrees / (found.degrees - 2), axis=1, prepend=0)
    # σ²(h + 1) = ω + (α + β) σ²(h) along the horizon,
    persistence, omega = np.polyfit(step[:, :-1].ravel(), step[:, 1:].ravel(), 1)
    np.testing.assert_allclose(step[:, 1:], omega + persistence * step[:, :-1], rtol=1e-9)
    # and σ²(t + 1) = ω + α r²(t) + β σ²(t) from one anchor to the next.
    squares = np.diff(log_close)[TEST.first : TEST.stop - 1] ** 2
    design = np.column_stack([squares, step[:-1, 0]])
    (alpha, beta), *_ = np.linalg.lstsq(design, step[1:, 0] - omega, rcond=None)
    np.testing.assert_allclose(design @ [alpha, beta] + omega, step[1:, 0], rtol=1e-9)
    assert alpha + beta == pytest.approx(persistence, rel=1e-6)
    return np.array([omega, alpha, beta, found.degrees])


def test_garch_is_no_less_likely_than_archs_fit_and_archs_own_forecast_from_each_anchor(
    dataset: MarketDataset,
) -> None:
    """At every anchor a new model is shown the days up to it and nothing else; the fit on the train span is kept."""
    log_close = dataset.log_prices[:, CLOSE]
    found = garch_close(log_close, TRAIN, TEST, HORIZON)
    assert isinstance(found, StudentT)
    moves = np.diff(log_close)
    last = TRAIN.stop - 1 + HORIZON
    unit = moves[:last].std()
    parameters = garch_parameters(found, log_close) / [unit**2, 1, 1, 1]

    def model(count: int) -> Any:
        return arch_model(moves[:count] / unit, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)

    fitted = model(last).fit(disp="off", options={"ftol": 1e-12, "maxiter": 1000})
    assert model(last).fix(parameters).loglikelihood >= fitted.loglikelihood - 1e-6
    for i, anchor in enumerate(range(TEST.first, TEST.stop)):
        ahead = model(anchor).fix(parameters).forecast(horizon=HORIZON, reindex=False).variance.to_numpy()[-1]
        variance = found.scale[i] ** 2 * found.degrees / (found.degrees - 2)
        # The recursion starts from what a model was shown, and has long forgotten it here.
        np.testing.assert_allclose(variance, unit**2 * np.cumsum(ahead), rtol=1e-5)


@pytest.mark.parametrize("tails", [6, 40, np.inf])
def test_garchs_fit_is_the_same_where_sums_end_in_other_digits(tails: float) -> None:
    """Moves that differ in their eleventh digit stand for the sums of another processor."""
    random = np.random.default_rng(1)
    even = random.standard_normal(3000)
    moves = 0.01 * (even if np.isinf(tails) else random.standard_t(tails, 3000))
    nudged = moves * (1 + 1e-11 * random.standard_normal(len(moves)))
    train, test = Span(30, 2000), Span(2100, 2900)
    one, other = (garch_close(np.cumsum(series), train, test, HORIZON) for series in (moves, nudged))
    assert isinstance(one, StudentT)
    assert isinstance(other, StudentT)
    assert 1 / one.degrees == pytest.approx(1 / other.degrees, abs=1e-4)
    np.testing.assert_allclose(one.scale, other.scale, rtol=1e-4)


def test_garch_is_left_out_with_a_reason_where_it_cannot_be_fitted() -> None:
    short = np.cumsum(np.random.default_rng(0).standard_normal(200))
    reason = garch_close(short, Span(30, 100), Span(150, 160), HORIZON)
    assert isinstance(reason, str)
    assert f"104 daily moves before the validation span are too few to fit it; it needs {MIN_MOVES}" in reason
    assert garch_close(np.zeros(2000), TRAIN, TEST, HORIZON) == "Close never moves in the train span"


def test_the_har_gaussians_have_one_scale_and_three_drifts(
    dataset: MarketDataset, found: dict[str, DistributionForecast]
) -> None:
    known, test = dataset.known_ranges, dataset.splits.test
    sigma = dataset.har_scale.sigma(known.ranges[test.first : test.stop])
    walk = known.displacement(dataset.walk, test)
    whole = known.displacement(least_squares_walk(known, dataset.splits.train, HORIZON, "har"), test)
    for k, target in enumerate(TARGETS):
        for name in ("har_gaussian", "har_gaussian_without_drift", "har_gaussian_whole_drift"):
            np.testing.assert_array_equal(normal(found[name], target).std[..., 0], sigma[..., k])
        np.testing.assert_array_equal(normal(found["har_gaussian"], target).mean[..., 0], walk[..., k])
        np.testing.assert_array_equal(
            normal(found["har_gaussian_whole_drift"], target).mean[..., 0], whole[..., k]
        )
        np.testing.assert_allclose(
            normal(found["har_gaussian_without_drift"], target).mean[..., 0],
            walk[..., k] - walk[..., CLOSE],
            atol=1e-15,
        )


def test_the_ewma_walk_has_its_own_width_for_each_target_about_a_candle_without_drift(
    dataset: MarketDataset, found: dict[str, DistributionForecast]
) -> None:
    test = dataset.splits.test
    close = ewma_random_walk(dataset.log_prices[:, CLOSE], np.arange(test.first, test.stop), HORIZON)
    day = close.std[:, 0, 0]
    for k, target in enumerate(TARGETS):
        for h in range(HORIZON):
            expected = day * (h + FIRST_DAY_SHARE[k]) ** 0.5
            found_std = normal(found["ewma_random_walk"], target).std[:, h, 0]
            np.testing.assert_allclose(found_std, expected, rtol=1e-12)
    assert not normal(found["ewma_random_walk"], "Close").mean.any()
    assert (normal(found["ewma_random_walk"], "High").mean > 0).all()


def test_no_distribution_sees_a_day_after_its_anchor(
    dataset: MarketDataset, found: dict[str, DistributionForecast]
) -> None:
    test = dataset.splits.test
    middle = (test.first + test.stop) // 2
    waves = dataset.waves.copy()
    waves[middle + 1 :, : len(TARGETS)] += 0.3
    later, _ = baseline_distributions(replace(dataset, waves=waves), test)
    until = middle + 1 - test.first
    for forecast in later:
        for target, marginal in forecast.targets.items():
            before = found[forecast.name].targets[target]
            np.testing.assert_array_equal(marginal.quantile(0.1)[:until], before.quantile(0.1)[:until])
