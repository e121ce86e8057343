"""Claims that every whole model must meet: the published configurations, every ablation, every variant.

The ablations are read from ``configs/ablations``; a new combination of settings joins by an entry in ``VARIANTS``.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_core.base_model import EnhancedPGAT
from model_core.build import build_model
from model_core.config.load import load_settings
from model_core.config.model import ModelSettings
from model_core.losses import forecast_loss
from model_core.model import CelestialEnhancedPGAT
from model_core.nn import slots
from model_core.sky.waves import waves_of
from tests.nn.kit import (
    SMALL,
    assert_same,
    awake,
    differs,
    make_inputs,
    make_window,
    map_tensors,
    module_of,
    saved_for_backward,
    scalar_of,
)
from tests.nn.parts import N

CONFIGS = Path(__file__).parent.parent.parent / "configs"
FILES = [
    CONFIGS / "celestial_enhanced_pgat_production.yaml",
    CONFIGS / "celestial_enhanced_pgat_memory_optimized.yaml",
    *sorted((CONFIGS / "ablations").glob("*.yaml")),
]
VARIANTS: dict[str, dict[str, Any]] = {
    "gru mixer": {"celestial_processor": {"temporal_mixer": "gru"}},
    "ungrouped waves": {"aggregate_waves_to_celestial": False},
    "one layer each": {"e_layers": 1, "d_layers": 1, "celestial_fusion_layers": 1},
    "regularized graph": {"graph": {"sparsity_weight": 0.1, "smoothness_weight": 0.1}},
    "base model without known-future sky": {"kind": "enhanced_pgat", "use_future_sky": False},
}
WIDTHS = SMALL.model_dump(include={"d_model", "n_heads", "e_layers", "d_layers", "d_ff", "celestial_dim",
                                   "celestial_fusion_layers", "dropout"})  # fmt: skip
INPUTS = make_inputs()
MERCURY, VENUS = "Mercury", "Venus"


def small_settings(name: str) -> ModelSettings:
    """The settings of a file in the widths of a test, or those of a variant."""
    if name in VARIANTS:
        return ModelSettings.model_validate({**SMALL.model_dump(), **VARIANTS[name]})
    file = next(path for path in FILES if path.stem == name)
    return load_settings(file, [f"model.{width}={value}" for width, value in WIDTHS.items()]).model


@pytest.fixture(params=[*(path.stem for path in FILES), *VARIANTS], name="settings")
def _settings(request: pytest.FixtureRequest) -> ModelSettings:
    torch.manual_seed(1)
    return small_settings(request.param)


def whole_loss(model: nn.Module, settings: ModelSettings) -> Tensor:
    window = make_window()
    forecast = model(window)
    return forecast_loss(forecast, window.target, settings.mixture).total + scalar_of(forecast.point)


SLOTS = {
    "processor": slots.CelestialProcessor,
    "combiner": slots.GraphCombiner,
    "mapper": slots.TemporalMapper,
    "encoding": slots.SpatioTemporalEncoding,
    "queries": slots.HorizonQueries,
    "head": slots.ForecastHead,
}
"""Published name of a part → what its slot is given and returns."""


def test_every_part_has_the_signature_of_its_slot(settings: ModelSettings) -> None:
    """Names, bundles and shapes; only calendar queries need no state, of however many days."""
    parts = dict(build_model(settings, INPUTS).named_children())
    assert {"queries", "head"} <= parts.keys()
    for name in SLOTS.keys() & parts.keys():
        slot, part = (inspect.signature(f) for f in (SLOTS[name].__call__, type(parts[name]).forward))
        assert str(part).replace("_P", "P") == str(slot), name


def test_the_untrained_model_is_the_structured_random_walk(settings: ModelSettings) -> None:
    model, window = build_model(settings, INPUTS).eval(), make_window()
    walk = model.baseline(window.past_waves[..., :4], window.scale).walk
    torch.testing.assert_close(model(window).point, walk, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_no_parameter_of_the_model_is_dead_and_no_gradient_infinite(
    settings: ModelSettings, autocast: bool
) -> None:
    model = awake(build_model(settings, INPUTS))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = whole_loss(model, settings)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert not [name for name, grad in gradients.items() if grad is None or grad.abs().max() < 1e-9]
    assert not [name for name, grad in gradients.items() if grad is None or not grad.isfinite().all()]


def test_shuffling_batch_mates_leaves_a_forecast_unchanged(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window(4)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = map_tensors(lambda tensor: tensor[order], window)
    assert_same(model(window).point[order], model(shuffled).point)


def test_a_copy_with_the_same_state_forecasts_the_same_twice(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window()
    copy = build_model(settings, INPUTS).eval()
    copy.load_state_dict(model.state_dict(), strict=True)
    forecast = model(window)
    assert_same(forecast, model(window), tolerance=0.0)
    assert_same(forecast, copy(window), tolerance=0.0)


def test_forecasts_are_candles_whatever_the_weights(settings: ModelSettings) -> None:
    model = awake(build_model(settings, INPUTS)).eval()
    with torch.no_grad():
        for parameter in module_of(model.head).parameters():
            parameter.mul_(30)
    opened, high, low, close = model(make_window(8)).point.unbind(-1)
    assert (high >= torch.maximum(opened, close)).all()
    assert (low <= torch.minimum(opened, close)).all()
    assert (high >= low).all()


def test_the_target_and_the_dates_are_not_read(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window()
    blind = replace(window, target=torch.full_like(window.target, torch.nan), dates=window.dates + 99)
    assert_same(model(window).point, model(blind).point, tolerance=0.0)


def test_the_known_future_sky_is_read_where_it_is_asked_for(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window()
    changed = differs(model(window), model(replace(window, future_sky=window.future_sky.flip(1))))
    assert changed == (settings.use_future_sky and settings.use_celestial_graph)


def test_swapping_two_bodies_of_the_sky_changes_the_forecast(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window()
    places = {(wave.body, wave.quantity): i for i, wave in enumerate(waves_of("ephemeris"))}
    order = list(range(len(INPUTS.waves)))
    for body, other in ((MERCURY, VENUS), (VENUS, MERCURY)):
        for wave in waves_of("ephemeris"):
            if wave.body == body and (other, wave.quantity) in places:
                order[places[body, wave.quantity]] = places[other, wave.quantity]
    assert order != sorted(order)
    swapped = replace(window, past_waves=window.past_waves[..., order])
    assert differs(model(window).point, model(swapped).point) == settings.use_celestial_graph


def test_another_graph_changes_the_forecast(settings: ModelSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window()
    before = model(window).point
    match model:
        case CelestialEnhancedPGAT():
            module_of(model.combiner).register_forward_hook(lambda module, inputs, graph: graph.flip(-1))
        case EnhancedPGAT():
            monkeypatch.setattr(model.into_transition, "mix", flipped(model.into_transition.mix))
    assert differs(before, model(window).point)


def flipped(mix: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *inputs: mix(*inputs).flip(-1)


@torch.no_grad()
def test_longer_and_shorter_windows_fit_the_same_weights(settings: ModelSettings) -> None:
    model = awake(build_model(settings, INPUTS)).eval()
    for steps in (16, 61, 300):
        assert model(make_window(1, steps)).point.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["celestial_enhanced_pgat_production", "base_model"])
def test_a_window_of_2048_days_fits_too(name: str) -> None:
    """The two models; that every part takes so many days is claimed in ``test_contracts.py``."""
    model = awake(build_model(small_settings(name), INPUTS)).eval()
    assert model(make_window(1, 2048)).point.isfinite().all()


def test_memory_of_a_model_grows_linearly_with_the_window(settings: ModelSettings) -> None:
    model = build_model(settings, INPUTS)
    small, middle, large = (saved_for_backward(model, (make_window(1, steps),)) for steps in (64, 128, 256))
    assert large - middle <= 2.05 * (middle - small)


def test_the_explanation_is_a_graph_and_a_reading(settings: ModelSettings) -> None:
    model = build_model(settings, INPUTS).eval()
    explanation = model.explain(make_window())
    torch.testing.assert_close(explanation.adjacency.sum(-1), torch.ones(3, N))
    assert (explanation.target_to_body >= 0).all()
    assert (explanation.target_to_body.sum(-1) <= 1 + 1e-5).all()
    torch.testing.assert_close(explanation.source_weights.sum(-1), torch.ones(3))
    assert explanation.source_weights.shape[1] == len(explanation.source_names)
    assert len(explanation.node_names) == N
