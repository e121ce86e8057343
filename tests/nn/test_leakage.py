"""What a forecast may know: prices up to its anchor, the sky of its horizon, and no currency.

The whole way is walked: a table, data preparation, windows, and a small real model whose weights are random.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from model_core.build import build_model
from model_core.config.model import ModelSettings
from model_core.data.dataset import MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.windows import Split, Window, WindowSet
from model_core.nn.bundles import Forecast
from model_core.sky.bodies import BODIES
from tests.data.market import SETTINGS, saved, table
from tests.nn.kit import SMALL, assert_same, awake, differs, tensors_of

PRICES = ["Open", "High", "Low", "Close"]
HEADS: dict[str, dict[str, Any]] = {
    "point": {},
    "mixture": {"use_mixture_decoder": True},
    "sequential mixture": {"use_mixture_decoder": True, "mixture": {"kind": "sequential_mixture"}},
    "base model": {"kind": "enhanced_pgat"},
}


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> MarketDataset:
    return prepared(table(), tmp_path_factory)


@pytest.fixture(params=HEADS, name="settings")
def _settings(request: pytest.FixtureRequest) -> ModelSettings:
    return ModelSettings.model_validate({**SMALL.model_dump(), **HEADS[request.param]})


def prepared(frame: pd.DataFrame, folders: pytest.TempPathFactory) -> MarketDataset:
    """What data preparation makes of a table."""
    return prepare(saved(frame, folders.mktemp("table")), SETTINGS)


def model_for(settings: ModelSettings, dataset: MarketDataset) -> nn.Module:
    """The model of a dataset; the same random weights whatever the dataset, and no head left at zero."""
    torch.manual_seed(1)
    return awake(build_model(settings, ModelInputs.from_dataset(dataset))).eval()


@torch.no_grad()
def forecast_of(model: nn.Module, window: Window) -> Forecast:
    forecast: Forecast = model(window)
    return forecast


def first_test_window(dataset: MarketDataset) -> Window:
    return WindowSet(dataset, "test").batch(torch.tensor([0]))


def inputs_of(window: Window) -> list[Tensor]:
    """All that a window holds at its anchor: everything but the targets."""
    return tensors_of(replace(window, target=torch.zeros(())))


def log_prices(displacement: Tensor, window: Window) -> Tensor:
    """[B, P, …, T] forecast log prices, in float64."""
    shape = (-1, *[1] * (displacement.dim() - 1))
    return window.anchor.view(shape) + displacement.double() * window.scale.double().view(shape)


def with_wave(dataset: MarketDataset, rows: slice, column: int) -> MarketDataset:
    """Another sky: one wave of some days with the sign changed, and moved."""
    waves = dataset.waves.copy()
    waves[rows, column] = 0.3 - waves[rows, column]
    return replace(dataset, waves=waves)


def test_prices_after_the_anchor_reach_neither_input_nor_forecast(
    settings: ModelSettings, dataset: MarketDataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The table itself is spoiled from the day after the first test anchor on, and prepared again."""
    frame = table()
    later = np.flatnonzero(pd.to_datetime(frame["Date"]) > dataset.dates[dataset.splits.test.first])
    assert len(later) > SETTINGS.window.pred_len
    factors = np.exp(0.05 * np.random.default_rng(3).standard_normal(len(later)))
    frame.loc[later, PRICES] = frame.loc[later, PRICES].to_numpy() * factors[:, None]
    spoiled = prepared(frame, tmp_path_factory)

    clean_window, spoiled_window = first_test_window(dataset), first_test_window(spoiled)
    assert differs(clean_window.target, spoiled_window.target)
    for one, other in zip(inputs_of(clean_window), inputs_of(spoiled_window), strict=True):
        assert torch.equal(one, other)
    before = forecast_of(model_for(settings, dataset), clean_window)
    after = forecast_of(model_for(settings, spoiled), spoiled_window)
    assert_same(before, after, tolerance=0.0)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_no_single_later_row_of_prices_changes_a_bit(
    settings: ModelSettings, dataset: MarketDataset, split: Split
) -> None:
    """Row by row over the horizon and two days more, for the last window of each split."""
    span, model = dataset.span(split), model_for(settings, dataset)
    anchor, last = span.stop - 1, torch.tensor([span.stop - 1 - span.first])
    clean = WindowSet(dataset, split).batch(last)
    before = forecast_of(model, clean)
    for row in range(anchor + 1, min(anchor + SETTINGS.window.pred_len + 3, len(dataset.dates))):
        waves = dataset.waves.copy()
        waves[row, : len(PRICES)] += 0.7
        window = WindowSet(replace(dataset, waves=waves), split).batch(last)
        for one, other in zip(inputs_of(clean), inputs_of(window), strict=True):
            assert torch.equal(one, other)
        assert_same(before, forecast_of(model, window), tolerance=0.0)


def test_a_row_of_prices_at_the_anchor_changes_the_forecast(
    settings: ModelSettings, dataset: MarketDataset
) -> None:
    """The counterpart: what the claims above corrupt would be noticed one row earlier."""
    waves = dataset.waves.copy()
    waves[dataset.splits.test.first, 0] += 0.002
    window = first_test_window(replace(dataset, waves=waves))
    model = model_for(settings, dataset)
    assert differs(forecast_of(model, first_test_window(dataset)), forecast_of(model, window))


def test_the_known_future_of_every_body_reaches_the_forecast(
    settings: ModelSettings, dataset: MarketDataset
) -> None:
    model, anchor = model_for(settings, dataset), dataset.splits.test.first
    before = forecast_of(model, first_test_window(dataset))
    horizon = slice(anchor + 1, anchor + 1 + SETTINGS.window.pred_len)
    blind_to = []
    for body in BODIES:
        column = next(i for i, wave in enumerate(dataset.specs) if wave.body == body)
        window = first_test_window(with_wave(dataset, horizon, column))
        if not differs(before, forecast_of(model, window)):
            blind_to.append(body)
    assert not blind_to


def test_the_sky_after_the_horizon_does_not_reach_the_forecast(
    settings: ModelSettings, dataset: MarketDataset
) -> None:
    model, anchor = model_for(settings, dataset), dataset.splits.test.first
    beyond = slice(anchor + 1 + SETTINGS.window.pred_len, None)
    window = first_test_window(with_wave(dataset, beyond, len(dataset.specs) - 1))
    assert_same(forecast_of(model, first_test_window(dataset)), forecast_of(model, window), tolerance=0.0)


def test_prices_in_another_currency_move_the_log_forecast_by_its_log(
    settings: ModelSettings, dataset: MarketDataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All prices of the table times 1.25, then everything anew: the log forecast moves by log 1.25."""
    frame = table()
    frame[PRICES] = frame[PRICES] * 1.25
    dearer = prepared(frame, tmp_path_factory)
    forecasts = []
    for market in (dataset, dearer):
        windows = WindowSet(market, "test")
        window = windows.batch(torch.arange(0, len(windows), 7))
        forecast = forecast_of(model_for(settings, market), window)
        means = [] if forecast.mixture is None else [forecast.mixture.mean]
        forecasts.append([log_prices(displacement, window) for displacement in (forecast.point, *means)])
    for before, after in zip(*forecasts, strict=True):
        moved = after - before
        # float32 inputs round differently: a displacement of a few times 0.01, and what the model makes of it.
        torch.testing.assert_close(moved, torch.full_like(moved, math.log(1.25)), atol=2e-7, rtol=0)
