"""Each baseline against a loop over windows, steps and targets."""

from dataclasses import replace

import numpy as np
import pytest

from model_core.axes import CLOSE, TARGETS
from model_core.config.data import DataSettings
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.prepare import prepare
from model_core.data.walk import displacements, fit_variants, least_squares_walk
from model_core.errors import SettingsError
from model_core.evaluation.baselines import baseline_forecasts
from model_core.evaluation.significance import compare
from tests.data.market import noise_dataset

SETTINGS = EvaluationSettings(device="cpu")


@pytest.fixture(scope="module")
def dataset() -> MarketDataset:
    return noise_dataset()


@pytest.fixture(scope="module")
def forecasts(dataset: MarketDataset) -> dict[str, np.ndarray]:
    return {b.name: b.displacement for b in baseline_forecasts(dataset, dataset.splits.test, SETTINGS)}


def loop(dataset: MarketDataset, value: object) -> np.ndarray:
    """[n, P, T] of ``value(r, h, k)``, a log price for anchor row r, step h from 1 and target k, less the anchor."""
    test, horizon = dataset.splits.test, dataset.window.pred_len
    return np.array(
        [
            [
                [value(r, h, k) - dataset.log_prices[r, CLOSE] for k in range(len(TARGETS))]  # type: ignore[operator]
                for h in range(1, horizon + 1)
            ]
            for r in range(test.first, test.stop)
        ]
    )


def test_last_close_says_the_last_close_for_all_four(
    dataset: MarketDataset, forecasts: dict[str, np.ndarray]
) -> None:
    expected = loop(dataset, lambda r, h, k: dataset.log_prices[r, CLOSE])
    np.testing.assert_array_equal(forecasts["last_close"], expected)


def test_own_last_says_the_last_value_of_each_target(
    dataset: MarketDataset, forecasts: dict[str, np.ndarray]
) -> None:
    np.testing.assert_allclose(
        forecasts["own_last"], loop(dataset, lambda r, h, k: dataset.log_prices[r, k]), atol=1e-12
    )


def test_drift_carries_the_mean_move_of_close_on(
    dataset: MarketDataset, forecasts: dict[str, np.ndarray]
) -> None:
    prices, length = dataset.log_prices, dataset.window.seq_len

    def value(r: int, h: int, k: int) -> float:
        moves = [prices[i, CLOSE] - prices[i - 1, CLOSE] for i in range(r - length + 2, r + 1)]
        return float(prices[r, k] + h * sum(moves) / len(moves))

    np.testing.assert_allclose(forecasts["drift"], loop(dataset, value), atol=1e-12)


@pytest.mark.parametrize("period", [1, 2, 5])
def test_seasonal_naive_repeats_the_last_period(dataset: MarketDataset, period: int) -> None:
    found = baseline_forecasts(
        dataset, dataset.splits.test, SETTINGS.model_copy(update={"seasonal_period": period})
    )
    prices = dataset.log_prices

    def value(r: int, h: int, k: int) -> float:
        while h > 0:
            h -= period
        return float(prices[r + h, k])

    seasonal = next(b.displacement for b in found if b.name == "seasonal_naive")
    np.testing.assert_allclose(seasonal, loop(dataset, value), atol=1e-12)


def test_the_walk_is_scored_in_every_variant_and_the_har_walk_with_the_whole_drift(
    dataset: MarketDataset, forecasts: dict[str, np.ndarray]
) -> None:
    """What each of them is, is claimed in ``tests/data/test_walk.py``."""
    known, test, horizon = dataset.known_ranges, dataset.splits.test, dataset.window.pred_len
    for name, walk in fit_variants(known, dataset.splits, horizon).items():
        scored = "structured_walk" if name == dataset.walk.variant else f"structured_walk_{name}"
        np.testing.assert_array_equal(forecasts[scored], known.displacement(walk, test))
    har = least_squares_walk(known, dataset.splits.train, horizon, "har")
    np.testing.assert_array_equal(forecasts["har_walk"], known.displacement(har, test))


def test_the_combination_is_the_mean_of_three(forecasts: dict[str, np.ndarray]) -> None:
    parts = [forecasts[name] for name in ("structured_walk", "har_walk", "ridge")]
    np.testing.assert_allclose(forecasts["combination"], np.mean(parts, axis=0), atol=1e-15)


def test_ridge_is_least_squares_with_a_penalty(dataset: MarketDataset) -> None:
    """Without a penalty it is ordinary least squares on one of the inputs that it may choose from."""
    prices, horizon = dataset.log_prices, dataset.window.pred_len
    ridge = _ridge(dataset, penalty=0.0)

    def inputs(r: int, known: int, in_ranges: bool) -> list[float]:
        scale = float(
            np.mean([prices[i, 1] - prices[i, 2] for i in range(r - dataset.scale_rows + 1, r + 1)])
        )
        unit = scale if in_ranges else 1.0
        recent = [
            (prices[i, k] - prices[r, CLOSE]) / unit for i in range(r - known + 1, r + 1) for k in range(4)
        ]
        return [1.0, *recent[:-1], 1 / scale if in_ranges else scale]

    span, test = dataset.splits.train, dataset.splits.test
    errors = {}
    candidates = {}
    for known in (1, 5, 20):
        for in_ranges in (True, False):
            if known > span.first + 1:
                continue
            train = range(span.first, span.stop)
            unit = {r: inputs(r, known, True)[-1] ** -1 if in_ranges else 1.0 for r in range(test.stop)}
            x = np.array([inputs(r, known, in_ranges) for r in train])
            y = displacements(prices, span, horizon).reshape(len(train), -1)
            y = y / np.array([unit[r] for r in train])[:, None]
            weights, *_ = np.linalg.lstsq(x, y, rcond=None)

            def forecast(
                rows: range, w: np.ndarray = weights, k: int = known, s: bool = in_ranges
            ) -> np.ndarray:
                scale = np.array([inputs(r, k, True)[-1] ** -1 if s else 1.0 for r in rows])[:, None]
                return (np.array([inputs(r, k, s) for r in rows]) @ w * scale).reshape(len(rows), horizon, 4)

            validation = dataset.splits.validation
            held_out = displacements(prices, validation, horizon)
            key = (known, in_ranges)
            errors[key] = np.square(forecast(range(validation.first, validation.stop)) - held_out).mean()
            candidates[key] = forecast(range(test.first, test.stop))
    np.testing.assert_allclose(ridge, candidates[min(errors, key=lambda key: errors[key])], atol=1e-7)


def test_a_large_penalty_leaves_the_mean_alone(dataset: MarketDataset) -> None:
    """All windows then get the same displacement, in one unit or the other."""
    ridge = _ridge(dataset, penalty=1e12)
    same = np.ptp(ridge / ridge[:, -1:, -1:], axis=0).max()
    assert same < 1e-3


def _ridge(dataset: MarketDataset, penalty: float) -> np.ndarray:
    settings = SETTINGS.model_copy(update={"ridge_penalty": penalty})
    found = baseline_forecasts(dataset, dataset.splits.test, settings)
    return next(b.displacement for b in found if b.name == "ridge")


def test_baselines_see_nothing_after_the_anchor(
    dataset: MarketDataset, forecasts: dict[str, np.ndarray]
) -> None:
    waves = dataset.waves.copy()
    middle = (dataset.splits.test.first + dataset.splits.test.stop) // 2
    waves[middle + 1 :, :4] += 0.3
    later = baseline_forecasts(replace(dataset, waves=waves), dataset.splits.test, SETTINGS)
    until = middle + 1 - dataset.splits.test.first
    for baseline in later:
        np.testing.assert_array_equal(baseline.displacement[:until], forecasts[baseline.name][:until])


BAR = {
    # source: variant and share of the drift; forecast: MAE, RMSE, skill in % with its interval
    "sample://nasdaq": (
        ("har", 0.66),
        {
            "structured_walk": (0.01540, 0.02207, (4.4, 3.1, 6.4)),
            "har_walk": (0.01534, 0.02204, (4.6, 2.7, 7.5)),
            "combination": (0.01533, 0.02199, (5.1, 3.2, 7.7)),
        },
    ),
    "sample://sp500": (
        ("har", 0.17),
        {
            "structured_walk": (0.01200, 0.01788, (3.7, 3.2, 4.4)),
            "har_walk": (0.01191, 0.01781, (4.4, 3.3, 6.1)),
            "combination": (0.01192, 0.01783, (4.2, 3.4, 5.6)),
        },
    ),
}


@pytest.mark.parametrize("source", BAR)
def test_the_bar_in_the_documentation_is_what_real_markets_give(source: str) -> None:
    chosen, bars = BAR[source]
    dataset = prepare(source, DataSettings())
    test, horizon = dataset.splits.test, dataset.window.pred_len
    true = displacements(dataset.log_prices, test, horizon)
    error = {b.name: b.displacement - true for b in baseline_forecasts(dataset, test, SETTINGS)}
    assert len(true) == 998
    assert (dataset.walk.variant, round(dataset.walk.drift_share, 2)) == chosen
    for name, (mae, rmse, skill) in bars.items():
        assert np.abs(error[name]).mean() == pytest.approx(mae, abs=6e-6)
        assert np.sqrt(np.square(error[name]).mean()) == pytest.approx(rmse, abs=6e-6)
        found = compare(
            *(np.square(error[which]).mean(axis=(1, 2)) for which in (name, "last_close")),
            horizon=horizon,
            confidence=0.95,
        )
        percent = [100 * value for value in (found.skill, found.low, found.high) if value is not None]
        assert percent == pytest.approx(skill, abs=0.06)
        assert found.outcome == "better"


def test_a_season_longer_than_what_is_known_is_refused_and_takes_no_price_from_the_end(
    dataset: MarketDataset,
) -> None:
    """A negative row would count from the end of the table, which lies in the future."""
    test, longest = dataset.splits.test, dataset.splits.test.first + 1
    baseline_forecasts(dataset, test, SETTINGS.model_copy(update={"seasonal_period": longest}))
    with pytest.raises(SettingsError, match=f"only {longest} rows are known before the first forecast"):
        baseline_forecasts(dataset, test, SETTINGS.model_copy(update={"seasonal_period": longest + 1}))
