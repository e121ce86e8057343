"""Every window once, in order, whatever the batch; perturbations never reach the targets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from model_core.data.windows import Window, WindowSet
from model_core.evaluation.predict import evaluate_each, evaluate_model, spread_over, unchanged
from model_core.nn.bundles import Forecast
from tests.data.market import noise_dataset


class Momentum(nn.Module):
    """Says that the last day's candle comes again, shifted by the last move."""

    def forward(self, window: Window) -> Forecast:
        last = window.past_waves[:, -1, :4] - window.past_waves[:, -2, 3:4]
        return Forecast(point=last[:, None].expand(-1, window.target.shape[1], -1))


@pytest.fixture(scope="module")
def windows() -> WindowSet:
    return WindowSet(noise_dataset(), "test")


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_every_window_is_scored_once_in_order(windows: WindowSet, batch_size: int) -> None:
    dataset = noise_dataset()
    found = evaluate_model(Momentum(), windows, batch_size)
    span = dataset.splits.test
    np.testing.assert_array_equal(found.dates[:, 0], dataset.dates[span.first : span.stop])
    rows = np.arange(span.first, span.stop)
    prices = dataset.log_prices
    np.testing.assert_allclose(found.true[:, 0], prices[rows + 1] - prices[rows, 3:4], atol=1e-6)
    np.testing.assert_allclose(found.forecast[:, 2], prices[rows] - prices[rows - 1, 3:4], atol=1e-6)
    np.testing.assert_array_equal(found.anchor, prices[rows, 3])


def test_a_quick_run_takes_windows_from_the_whole_span(windows: WindowSet) -> None:
    everything = evaluate_model(Momentum(), windows, 8)
    few = evaluate_model(Momentum(), windows, 8, at_most=10)
    assert len(few) == 10
    assert few.dates[0, 0] == everything.dates[0, 0]
    assert few.dates[-1, 0] == everything.dates[-1, 0]
    assert set(few.dates[:, 0]) <= set(everything.dates[:, 0])


@pytest.mark.parametrize(("count", "at_most"), [(10, None), (10, 10), (10, 99), (11, 5), (7, 6), (5, 1)])
def test_spread_indices_are_distinct_and_ascend(count: int, at_most: int | None) -> None:
    chosen = spread_over(count, at_most).tolist()
    assert len(chosen) == min(count, at_most or count)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(count))


def test_a_perturbation_changes_the_forecast_but_not_what_it_is_scored_against(windows: WindowSet) -> None:
    def corrupted(window: Window) -> Window:
        return replace(
            window, past_waves=window.past_waves * 2, target=window.target + 9, anchor=window.anchor + 1
        )

    clean, perturbed = evaluate_each(Momentum(), windows, 16, (unchanged, corrupted))
    np.testing.assert_array_equal(clean.true, perturbed.true)
    np.testing.assert_array_equal(clean.anchor, perturbed.anchor)
    np.testing.assert_allclose(perturbed.forecast, 2 * clean.forecast, rtol=1e-6)


def test_a_model_is_put_into_evaluation_mode(windows: WindowSet) -> None:
    model = nn.Sequential(Momentum(), nn.Dropout(0.5))
    model.train()
    model.forward = lambda window: model[0](window)  # type: ignore[method-assign]
    evaluate_model(model, windows, 16)
    assert not model.training
    assert torch.is_grad_enabled()
