"""Every vectorized point metric against a loop that a reader can check by eye."""

import numpy as np
import pytest

from model_core.axes import TARGETS
from model_core.metrics.point import Scale, point_errors

RANDOM = np.random.default_rng(6)
TRUE = RANDOM.uniform(50, 150, size=(7, 3, 4))
FORECAST = TRUE + RANDOM.normal(0, 5, size=TRUE.shape)


def loop(true: np.ndarray, forecast: np.ndarray, naive_mae: float) -> dict[str, float]:
    """All metrics, one value at a time."""
    sums = dict.fromkeys(("mae", "mse", "mape", "mspe", "smape"), 0.0)
    pairs = list(zip(true.ravel().tolist(), forecast.ravel().tolist(), strict=True))
    for right, said in pairs:
        sums["mae"] += abs(said - right)
        sums["mse"] += (said - right) ** 2
        sums["mape"] += abs((said - right) / right)
        sums["mspe"] += ((said - right) / right) ** 2
        sums["smape"] += 2 * abs(said - right) / (abs(right) + abs(said))
    means = {name: total / len(pairs) for name, total in sums.items()}
    return means | {"rmse": means["mse"] ** 0.5, "mase": means["mae"] / naive_mae}


def test_metrics_agree_with_a_loop() -> None:
    assert dict(point_errors(TRUE, FORECAST, 0.8)) == pytest.approx(loop(TRUE, FORECAST, 0.8), rel=1e-12)


def test_the_table_holds_the_metrics_of_each_target_and_of_each_step() -> None:
    found = Scale(TRUE, 0.8).errors(FORECAST)
    assert dict(found.overall) == pytest.approx(loop(TRUE, FORECAST, 0.8))
    for k, target in enumerate(TARGETS):
        expected = loop(TRUE[:, :, k], FORECAST[:, :, k], 0.8)
        assert dict(found.per_target[target]) == pytest.approx(expected)
    for h, row in enumerate(found.per_step):
        assert dict(row) == pytest.approx(loop(TRUE[:, h], FORECAST[:, h], 0.8) | {"step": h + 1})


def test_on_a_scale_without_a_zero_of_its_own_relative_errors_are_left_out() -> None:
    found = Scale(TRUE, 0.8, relative=False).errors(FORECAST).overall
    assert (found.mape, found.mspe, found.smape) == (None, None, None)
    assert found.mase == pytest.approx(found.mae / 0.8)


def test_a_perfect_forecast_has_no_error() -> None:
    assert set(dict(point_errors(TRUE, TRUE, 1.0)).values()) == {0.0}


def test_relative_metrics_are_left_out_where_a_true_value_is_zero() -> None:
    true = np.array([0.0, 1.0])
    found = point_errors(true, true + 0.5, naive_mae=None)
    assert (found.mape, found.mspe, found.mase) == (None, None, None)
    assert found.mae == 0.5
    assert found.smape is not None


def test_two_zeros_have_no_symmetric_relative_error() -> None:
    assert point_errors(np.zeros(2), np.zeros(2)).smape is None


def test_mase_of_the_naive_forecast_on_its_own_series_is_one() -> None:
    series = np.cumsum(RANDOM.normal(size=200))
    naive = float(np.abs(np.diff(series)).mean())
    assert point_errors(series[1:], series[:-1], naive).mase == pytest.approx(1.0)
