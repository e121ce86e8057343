"""Claims that every part of the model must meet, and every whole model built from them.

A new part joins by an entry in ``PARTS``, a new combination of settings by one in ``MODELS``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_core.build import build_model
from model_core.config.model import (
    CelestialProcessorSettings,
    CombinerSettings,
    DataDrivenLearnerSettings,
    EncodingSettings,
    HierarchicalMapperSettings,
    MixtureSettings,
    ModelSettings,
    StochasticLearnerSettings,
    TraditionalLearnerSettings,
)
from model_core.nn.attention import MultiHeadAttention, NodeTemporalAttention
from model_core.nn.blocks import CausalConvMixer, CausalGRUMixer, FeedForward, plain
from model_core.nn.bundles import Baseline, BodyStates, Edges
from model_core.nn.celestial.aspects import AspectEdges
from model_core.nn.celestial.body_nodes import CelestialBodyNodes, GatedBodyReader
from model_core.nn.celestial.processor import PhaseAwareCelestialProcessor, UngroupedProcessor
from model_core.nn.celestial.wave_aggregator import CelestialWaveAggregator
from model_core.nn.covariates import EfficientCovariateInteraction, FullInteraction, TargetNodes, TargetReader
from model_core.nn.decoder_layer import DecoderLayer
from model_core.nn.embedding import CalendarQueries, DataEmbedding, KnownFutureQueries
from model_core.nn.graph.attention import AdjacencyAwareGraphAttention
from model_core.nn.graph.batched import CelestialGraphCombiner
from model_core.nn.graph.data_driven import DataDrivenLearner
from model_core.nn.graph.dynamic import DynamicAdjacency
from model_core.nn.graph.edges import EdgeSources
from model_core.nn.graph.gated import GatedGraphCombiner
from model_core.nn.graph.sequential import SequentialCelestialGraphCombiner
from model_core.nn.graph.stochastic import StochasticGraphLearner
from model_core.nn.graph.traditional import TraditionalLearner
from model_core.nn.heads.mixture import MixtureDensityDecoder
from model_core.nn.heads.point import PointHead
from model_core.nn.heads.sequential_mixture import SequentialMixtureDensityDecoder
from model_core.nn.market_context import MarketContextEncoder
from model_core.nn.temporal.dynamic import DynamicSpatioTemporalEncoding
from model_core.nn.temporal.hierarchical import HierarchicalTemporalSpatialMapper
from model_core.nn.temporal.joint import JointSpatioTemporalEncoding
from model_core.nn.waves.messages import PathMessages
from model_core.nn.waves.patches import LatentReader, PatchEmbedding
from model_core.nn.waves.proposals import PathGraph
from tests.nn.kit import SMALL, make_inputs, make_window, map_tensors, scalar_of, tensors_of

D, d, N, T, C, H = 52, 4, 13, 4, 8, 2
INPUTS = make_inputs()
ENCODING = EncodingSettings()
COMBINER = CombinerSettings(edge_dim=6)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape)


def graph(batch: int, steps: int) -> Tensor:
    return torch.softmax(2 * torch.randn(batch, steps, N, N), dim=-1)


def sky(batch: int, steps: int) -> Tensor:
    return make_window(batch, steps).past_waves[..., 5:]


def calendar(batch: int, steps: int) -> Tensor:
    return make_window(batch, steps).past_calendar


def bodies(batch: int, steps: int) -> BodyStates:
    return BodyStates(numbers(batch, steps, N, C), torch.rand(batch, steps, N, N))


def edges(batch: int, steps: int) -> Edges:
    return Edges(torch.rand(batch, steps, N, N, 3), ("one", "two", "three"))


def path_graph(batch: int, waves: int) -> PathGraph:
    into_transition = torch.softmax(torch.randn(batch, 6, waves), dim=-1)
    return PathGraph(into_transition, torch.softmax(torch.randn(batch, T, 6), dim=-1))


def baseline(batch: int, steps: int) -> Baseline:
    walk = torch.tensor([0.0, 0.5, -0.5, 0.1]).expand(batch, steps, T) + 0.1 * numbers(batch, steps, 1)
    return Baseline(walk=walk, volatility=torch.rand(batch) + 0.5)


@dataclass(frozen=True)
class Part:
    """How a contract test builds a part and feeds it B windows of S steps."""

    build: Callable[[], nn.Module]
    inputs: Callable[[int, int], tuple[Any, ...]]
    causal: bool = False
    """No step of the output sees a later step of the inputs."""
    adjacency: int | None = None
    """Which input is a graph; changing it must change the result."""
    body_axis: tuple[int, int] | None = None
    """Which input holds bodies, on which axis; swapping two of them must change more than their order."""


PARTS: dict[str, Part] = {
    "CausalConvMixer": Part(lambda: CausalConvMixer(C), lambda b, s: (numbers(b, s, N, C),), causal=True),
    "CausalGRUMixer": Part(lambda: CausalGRUMixer(C), lambda b, s: (numbers(b, s, N, C),), causal=True),
    "FeedForward": Part(lambda: FeedForward(D, 32, 0.0), lambda b, s: (numbers(b, s, D),), causal=True),
    "NodeTemporalAttention": Part(
        lambda: NodeTemporalAttention(d), lambda b, s: (numbers(b, s, N, d),), causal=True
    ),
    "MultiHeadAttention": Part(
        lambda: MultiHeadAttention(D, H, d), lambda b, s: (numbers(b, s, D), numbers(b, N, d))
    ),
    "PhaseAwareCelestialProcessor": Part(
        lambda: PhaseAwareCelestialProcessor(INPUTS, C, CelestialProcessorSettings(hidden_dim=8)),
        lambda b, s: (sky(b, s),),
        causal=True,
    ),
    "PhaseAwareCelestialProcessor(gru)": Part(
        lambda: PhaseAwareCelestialProcessor(INPUTS, C, CelestialProcessorSettings(temporal_mixer="gru")),
        lambda b, s: (sky(b, s),),
        causal=True,
    ),
    "UngroupedProcessor": Part(lambda: UngroupedProcessor(113, C), lambda b, s: (sky(b, s),), causal=True),
    "DataEmbedding": Part(
        lambda: DataEmbedding(7, D, 0.0), lambda b, s: (numbers(b, s, 7), calendar(b, s)), causal=True
    ),
    "KnownFutureQueries": Part(
        lambda: KnownFutureQueries(N * C, D),
        lambda b, s: (numbers(b, s, N, C), calendar(b, s)),
        causal=True,
        body_axis=(0, 2),
    ),
    "CalendarQueries": Part(
        lambda: CalendarQueries(D), lambda b, s: (numbers(b, s, N, C), calendar(b, s)), causal=True
    ),
    "MarketContextEncoder": Part(lambda: MarketContextEncoder(D, H), lambda b, s: (numbers(b, s, D),)),
    "CelestialBodyNodes": Part(
        lambda: CelestialBodyNodes(C, d), lambda b, s: (numbers(b, s, N, C),), causal=True, body_axis=(0, 2)
    ),
    "GatedBodyReader": Part(
        lambda: GatedBodyReader(D, d, H), lambda b, s: (numbers(b, s, D), numbers(b, s, N, d)), causal=True
    ),
    "AspectEdges": Part(lambda: AspectEdges(INPUTS), lambda b, s: (sky(b, s), bodies(b, s)), causal=True),
    "DynamicAdjacency": Part(
        lambda: DynamicAdjacency(d), lambda b, s: (numbers(b, s, D), numbers(b, s, N, d)), causal=True
    ),
    "TraditionalLearner": Part(
        lambda: TraditionalLearner(D, TraditionalLearnerSettings(rank=4)),
        lambda b, s: (numbers(b, s, D), numbers(b, s, N, d)),
        causal=True,
    ),
    "DataDrivenLearner": Part(
        lambda: DataDrivenLearner(d, DataDrivenLearnerSettings(embedding_dim=4)),
        lambda b, s: (numbers(b, s, D), numbers(b, s, N, d)),
        causal=True,
        body_axis=(1, 2),
    ),
    "EdgeSources": Part(
        lambda: EdgeSources(D, {"aspects": AspectEdges(INPUTS)}, {"dynamic": DynamicAdjacency(d)}),
        lambda b, s: (sky(b, s), bodies(b, s), numbers(b, s, D), numbers(b, s, N, d), numbers(b, D)),
    ),
    "CelestialGraphCombiner": Part(
        lambda: CelestialGraphCombiner(3, D, 2, COMBINER),
        lambda b, s: (edges(b, s), numbers(b, s, D), numbers(b, D)),
    ),
    "DynamicSpatioTemporalEncoding": Part(
        lambda: DynamicSpatioTemporalEncoding(d, 0.0, ENCODING),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        causal=True,
        adjacency=1,
        body_axis=(0, 2),
    ),
    "JointSpatioTemporalEncoding": Part(
        lambda: JointSpatioTemporalEncoding(d, 0.0, ENCODING),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        adjacency=1,
        body_axis=(0, 2),
    ),
    "AdjacencyAwareGraphAttention": Part(
        lambda: AdjacencyAwareGraphAttention(N, d, H, 32, 0.0),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        causal=True,
        adjacency=1,
        body_axis=(0, 2),
    ),
    "TargetNodes": Part(lambda: TargetNodes(d), lambda b, s: (numbers(b, s, T),), causal=True),
    "TargetReader": Part(
        lambda: TargetReader(d, H, 32, 0.0),
        lambda b, s: (numbers(b, s, T, d), numbers(b, s, N, d)),
        causal=True,
    ),
    "EfficientCovariateInteraction": Part(
        lambda: EfficientCovariateInteraction(d, H, 2, 32, 0.0, plain),
        lambda b, s: (numbers(b, s, N, d), numbers(b, s, T, d), graph(b, s)),
        causal=True,
        adjacency=2,
        body_axis=(0, 2),
    ),
    "FullInteraction": Part(
        lambda: FullInteraction(d, H, 2, 32, 0.0, plain),
        lambda b, s: (numbers(b, s, N, d), numbers(b, s, T, d), graph(b, s)),
        causal=True,
        adjacency=2,
        body_axis=(0, 2),
    ),
    "DecoderLayer": Part(
        lambda: DecoderLayer(D, d, H, 32, 0.0, causal=False),
        lambda b, s: (numbers(b, s, D), numbers(b, s, D), numbers(b, N, d), s),
    ),
    "CelestialWaveAggregator": Part(
        lambda: CelestialWaveAggregator(INPUTS, C), lambda b, s: (sky(b, s),), causal=True
    ),
    "StochasticGraphLearner": Part(
        lambda: StochasticGraphLearner(D, StochasticLearnerSettings(rank=4)),
        lambda b, s: (numbers(b, s, D), numbers(b, s, N, d)),
    ),
    "SequentialCelestialGraphCombiner": Part(
        lambda: SequentialCelestialGraphCombiner(3, D, 2, COMBINER),
        lambda b, s: (edges(b, s), numbers(b, s, D), numbers(b, D)),
    ),
    "GatedGraphCombiner": Part(
        lambda: GatedGraphCombiner(3, D, COMBINER),
        lambda b, s: (edges(b, s), numbers(b, s, D), numbers(b, D)),
    ),
    "HierarchicalTemporalSpatialMapper": Part(
        lambda: HierarchicalTemporalSpatialMapper(D, HierarchicalMapperSettings()),
        lambda b, s: (numbers(b, s, N, d),),
        body_axis=(0, 2),
    ),
    "PatchEmbedding": Part(lambda: PatchEmbedding(9, d, (4, 8)), lambda b, s: (numbers(b, s, 9),)),
    "LatentReader": Part(lambda: LatentReader(d, 3), lambda b, s: (numbers(b, 9, s, d),)),
    "PathMessages": Part(
        lambda: PathMessages(d, 8, 0.0),
        lambda b, s: (numbers(b, s, d), numbers(b, 6, d), numbers(b, T, d), path_graph(b, s)),
        adjacency=3,
    ),
    "MixtureDensityDecoder": Part(
        lambda: MixtureDensityDecoder(D, MixtureSettings()), lambda b, s: (numbers(b, s, D), baseline(b, s))
    ),
    "SequentialMixtureDensityDecoder": Part(
        lambda: SequentialMixtureDensityDecoder(D, MixtureSettings()),
        lambda b, s: (numbers(b, s, D), baseline(b, s)),
        causal=True,
    ),
    "PointHead": Part(lambda: PointHead(D), lambda b, s: (numbers(b, s, D), baseline(b, s)), causal=True),
}

MODELS: dict[str, dict[str, Any]] = {
    "production": {},
    "gru mixer": {"celestial_processor": {"temporal_mixer": "gru"}},
    "ungrouped waves": {"aggregate_waves_to_celestial": False},
    "no sky": {"use_celestial_graph": False},
    "aspects only": {
        "graph": {
            "use_traditional": False,
            "use_data_driven": False,
            "use_phase_edges": False,
            "use_dynamic": False,
        }
    },
    "static encoding": {"encoding": {"kind": "joint"}},
    "without covariate interaction": {"use_efficient_covariate_interaction": False},
    "without known-future sky": {"use_future_sky": False},
    "one layer each": {"e_layers": 1, "d_layers": 1, "celestial_fusion_layers": 1},
    "checkpointed": {"gradient_checkpointing": True},
    "aggregated waves": {"celestial_processor": {"kind": "aggregate"}},
    "stochastic graph": {"use_stochastic_learner": True},
    "sequential combiner": {"combiner": {"kind": "sequential"}},
    "gated combiner": {"combiner": {"kind": "gated"}},
    "hierarchical mapping": {"use_hierarchical_mapping": True},
    "mixture head": {"use_mixture_decoder": True},
    "sequential mixture head": {"use_mixture_decoder": True, "mixture": {"kind": "sequential_mixture"}},
    "base model": {"kind": "enhanced_pgat"},
    "base model without known-future sky": {"kind": "enhanced_pgat", "use_future_sky": False},
}


@pytest.fixture(params=PARTS, name="part")
def _part(request: pytest.FixtureRequest) -> Part:
    torch.manual_seed(1)
    return PARTS[request.param]


@pytest.fixture(params=MODELS, name="settings")
def _settings(request: pytest.FixtureRequest) -> ModelSettings:
    torch.manual_seed(1)
    return ModelSettings.model_validate({**SMALL.model_dump(), **MODELS[request.param]})


def awake(module: nn.Module) -> nn.Module:
    """``module`` with its zero-initialised parameters moved, as after a first optimiser step."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return module


def only(index: int, value: Any) -> Any:
    """Sample ``index`` of a batch; penalties, which are means over the batch, count as 0."""
    return map_tensors(lambda t: t[index : index + 1] if t.dim() else torch.zeros_like(t), value)


def assert_same(left: Any, right: Any, tolerance: float = 5e-5) -> None:
    for one, other in zip(tensors_of(left), tensors_of(right), strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def differs(left: Any, right: Any) -> bool:
    pairs = zip(tensors_of(left), tensors_of(right), strict=True)
    return any((one - other).abs().max() > 1e-6 for one, other in pairs)


# --- every part -------------------------------------------------------------------------------------


def test_a_sample_does_not_depend_on_its_batch_mates(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(3, 16)
    assert_same(only(1, module(*inputs)), only(0, module(*only(1, inputs))))


def test_every_parameter_receives_a_gradient(part: Part) -> None:
    module = awake(part.build())
    scalar_of(module(*part.inputs(3, 16))).backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]
    assert not dead


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_gradients_are_finite(part: Part, autocast: bool) -> None:
    module, inputs = awake(part.build()), part.inputs(2, 16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = scalar_of(module(*inputs))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_two_evaluations_are_equal(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(2, 16)
    assert_same(module(*inputs), module(*inputs), tolerance=0.0)


def test_the_state_restores_the_part(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(2, 16)
    copy = part.build().eval()
    copy.load_state_dict(module.state_dict(), strict=True)
    assert_same(module(*inputs), copy(*inputs), tolerance=0.0)


def test_the_same_weights_serve_any_number_of_steps(part: Part) -> None:
    module = awake(part.build()).eval()
    for steps in (16, 37):
        assert all(tensor.isfinite().all() for tensor in tensors_of(module(*part.inputs(2, steps))))


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.causal])
def test_no_step_sees_a_later_one(name: str) -> None:
    torch.manual_seed(1)
    part = PARTS[name]
    module, inputs, early = awake(part.build()).eval(), part.inputs(2, 16), 10

    def disturbed(tensor: Tensor) -> Tensor:
        if tensor.dim() < 2 or tensor.shape[1] != 16 or not tensor.is_floating_point():
            return tensor
        return torch.cat([tensor[:, :early], tensor[:, early:].flip(1)], dim=1)

    before, after = module(*inputs), module(*map_tensors(disturbed, inputs))
    assert_same(
        map_tensors(lambda tensor: tensor[:, :early], before),
        map_tensors(lambda tensor: tensor[:, :early], after),
    )


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.adjacency is not None])
def test_another_graph_gives_another_result(name: str) -> None:
    torch.manual_seed(1)
    part = PARTS[name]
    module, inputs = awake(part.build()).eval(), list(part.inputs(2, 16))
    before = module(*inputs)
    assert part.adjacency is not None
    inputs[part.adjacency] = map_tensors(lambda tensor: tensor.flip(-1), inputs[part.adjacency])
    assert differs(before, module(*inputs))


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.body_axis is not None])
def test_swapping_two_bodies_changes_the_result(name: str) -> None:
    torch.manual_seed(1)
    part = PARTS[name]
    module, inputs = awake(part.build()).eval(), list(part.inputs(2, 16))
    before = module(*inputs)
    assert part.body_axis is not None
    place, axis = part.body_axis
    swapped = torch.tensor([1, 0, *range(2, N)])
    inputs[place] = inputs[place].index_select(axis, swapped)
    assert differs(before, module(*inputs))


# --- every model ------------------------------------------------------------------------------------


def test_the_untrained_model_is_the_structured_random_walk(settings: ModelSettings) -> None:
    model, window = build_model(settings, INPUTS).eval(), make_window()
    walk = torch.tensor(INPUTS.walk_a) / window.scale[:, None, None] + torch.tensor(INPUTS.walk_b)
    torch.testing.assert_close(model(window).point, walk, atol=1e-6, rtol=1e-6)


def test_no_parameter_of_the_model_is_dead(settings: ModelSettings) -> None:
    model = awake(build_model(settings, INPUTS))
    forecast = model(make_window())
    (scalar_of(forecast.point) + sum(forecast.penalties.values())).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]


def test_shuffling_batch_mates_leaves_a_forecast_unchanged(settings: ModelSettings) -> None:
    model, window = awake(build_model(settings, INPUTS)).eval(), make_window(4)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = map_tensors(lambda tensor: tensor[order], window)
    assert_same(model(window).point[order], model(shuffled).point)


def test_forecasts_are_candles_whatever_the_weights(settings: ModelSettings) -> None:
    model = awake(build_model(settings, INPUTS)).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
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


def test_longer_and_shorter_windows_fit_the_same_weights(settings: ModelSettings) -> None:
    model = awake(build_model(settings, INPUTS)).eval()
    for steps in (16, 61):
        assert model(make_window(2, steps)).point.isfinite().all()


def test_the_explanation_is_a_graph_and_a_reading(settings: ModelSettings) -> None:
    model = build_model(settings, INPUTS).eval()
    explanation = model.explain(make_window())
    torch.testing.assert_close(explanation.adjacency.sum(-1), torch.ones(3, N))
    assert (explanation.target_to_body >= 0).all()
    assert (explanation.target_to_body.sum(-1) <= 1 + 1e-5).all()
    torch.testing.assert_close(explanation.source_weights.sum(-1), torch.ones(3))
    assert explanation.source_weights.shape[1] == len(explanation.source_names)


@pytest.mark.slow
def test_two_thousand_days_fit_the_same_weights() -> None:
    model = build_model(SMALL, INPUTS).eval()
    assert model(make_window(1, 2048)).point.isfinite().all()
