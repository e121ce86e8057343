"""Every part of the model as the contract tests see it: how it is built, and what it is fed.

A new part joins by an entry in ``PARTS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model_core.config.model import (
    CelestialProcessorSettings,
    CombinerSettings,
    DataDrivenLearnerSettings,
    EncodingSettings,
    HierarchicalMapperSettings,
    MixtureSettings,
    StochasticLearnerSettings,
    TraditionalLearnerSettings,
)
from model_core.nn.attention import MultiHeadAttention, NodeTemporalAttention
from model_core.nn.blocks import CausalConvMixer, CausalGRUMixer, FeedForward
from model_core.nn.bundles import Baseline, BodyStates, Edges
from model_core.nn.celestial.aspects import AspectEdges
from model_core.nn.celestial.body_nodes import CelestialBodyNodes, GatedBodyReader
from model_core.nn.celestial.processor import PhaseAwareCelestialProcessor, UngroupedProcessor
from model_core.nn.celestial.wave_aggregator import CelestialWaveAggregator
from model_core.nn.covariates import EfficientCovariateInteraction, FullInteraction, TargetNodes, TargetReader
from model_core.nn.decoder_layer import DecoderLayer
from model_core.nn.embedding import CalendarQueries, DataEmbedding, KnownFutureQueries
from model_core.nn.graph.attention import AdjacencyAwareGraphAttention
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from model_core.nn.graph.combiners.gated import GatedGraphCombiner
from model_core.nn.graph.combiners.sequential import SequentialCelestialGraphCombiner
from model_core.nn.graph.edges import EdgeSources
from model_core.nn.graph.learners.data_driven import DataDrivenLearner
from model_core.nn.graph.learners.dynamic import DynamicAdjacency
from model_core.nn.graph.learners.stochastic import StochasticGraphLearner
from model_core.nn.graph.learners.traditional import TraditionalLearner
from model_core.nn.heads.mixture import MixtureDensityDecoder
from model_core.nn.heads.point import PointHead
from model_core.nn.heads.sequential_mixture import SequentialMixtureDensityDecoder
from model_core.nn.market_context import MarketContextEncoder
from model_core.nn.recomputation import direct
from model_core.nn.temporal.dynamic import DynamicSpatioTemporalEncoding
from model_core.nn.temporal.hierarchical import HierarchicalTemporalSpatialMapper
from model_core.nn.temporal.joint import JointSpatioTemporalEncoding
from model_core.nn.waves.messages import PathMessages
from model_core.nn.waves.patches import LatentReader, PatchEmbedding
from model_core.nn.waves.proposals import PathGraph
from tests.nn.kit import make_inputs, make_window

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
    return Baseline(walk=walk, deviation=torch.rand_like(walk) + 0.5)


@dataclass(frozen=True)
class Part:
    """How a contract test builds a part and feeds it B windows of S steps."""

    build: Callable[[], nn.Module]
    inputs: Callable[[int, int], tuple[Any, ...]]
    causal: bool = False
    """No step of the output sees a later step of the inputs."""
    adjacency: int | None = None
    """Which input is a graph; changing it must change the result."""
    bodies: int | None = None
    """Which input holds the bodies; swapping two of them must change more than the order of the result."""


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
        bodies=0,
    ),
    "CalendarQueries": Part(
        lambda: CalendarQueries(D), lambda b, s: (numbers(b, s, N, C), calendar(b, s)), causal=True
    ),
    "MarketContextEncoder": Part(lambda: MarketContextEncoder(D, H), lambda b, s: (numbers(b, s, D),)),
    "CelestialBodyNodes": Part(
        lambda: CelestialBodyNodes(C, d), lambda b, s: (numbers(b, s, N, C),), causal=True, bodies=0
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
        bodies=1,
    ),
    "EdgeSources": Part(
        lambda: EdgeSources(D, {"aspects": AspectEdges(INPUTS)}, {"dynamic": DynamicAdjacency(d)}),
        lambda b, s: (sky(b, s), bodies(b, s), numbers(b, s, D), numbers(b, s, N, d), numbers(b, D)),
    ),
    "CelestialGraphCombiner": Part(
        lambda: CelestialGraphCombiner(3, D, 2, COMBINER),
        lambda b, s: (edges(b, s), numbers(b, s, D), numbers(b, D)),
        bodies=0,
    ),
    "DynamicSpatioTemporalEncoding": Part(
        lambda: DynamicSpatioTemporalEncoding(d, 0.0, ENCODING),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        causal=True,
        adjacency=1,
        bodies=0,
    ),
    "JointSpatioTemporalEncoding": Part(
        lambda: JointSpatioTemporalEncoding(d, 0.0, ENCODING),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        adjacency=1,
        bodies=0,
    ),
    "AdjacencyAwareGraphAttention": Part(
        lambda: AdjacencyAwareGraphAttention(N, d, H, 32, 0.0),
        lambda b, s: (numbers(b, s, N, d), graph(b, s)),
        causal=True,
        adjacency=1,
        bodies=0,
    ),
    "TargetNodes": Part(lambda: TargetNodes(d), lambda b, s: (numbers(b, s, T),), causal=True),
    "TargetReader": Part(
        lambda: TargetReader(d, H, 32, 0.0),
        lambda b, s: (numbers(b, s, T, d), numbers(b, s, N, d)),
        causal=True,
    ),
    "EfficientCovariateInteraction": Part(
        lambda: EfficientCovariateInteraction(d, H, 2, 32, 0.0, direct),
        lambda b, s: (numbers(b, s, N, d), numbers(b, s, T, d), graph(b, s)),
        causal=True,
        adjacency=2,
        bodies=0,
    ),
    "FullInteraction": Part(
        lambda: FullInteraction(d, H, 2, 32, 0.0, direct),
        lambda b, s: (numbers(b, s, N, d), numbers(b, s, T, d), graph(b, s)),
        causal=True,
        adjacency=2,
        bodies=0,
    ),
    "DecoderLayer": Part(
        lambda: DecoderLayer(D, d, H, 32, 0.0, causal=False),
        lambda b, s: (numbers(b, s, D), numbers(b, s, D), numbers(b, N, d), s),
    ),
    "DecoderLayer(causal)": Part(
        lambda: DecoderLayer(D, d, H, 32, 0.0, causal=True),
        lambda b, s: (numbers(b, s, D), numbers(b, 9, D), numbers(b, N, d), s),
        causal=True,
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
        bodies=0,
    ),
    "GatedGraphCombiner": Part(
        lambda: GatedGraphCombiner(3, D, COMBINER),
        lambda b, s: (edges(b, s), numbers(b, s, D), numbers(b, D)),
    ),
    "HierarchicalTemporalSpatialMapper": Part(
        lambda: HierarchicalTemporalSpatialMapper(D, HierarchicalMapperSettings()),
        lambda b, s: (numbers(b, s, N, d),),
        bodies=0,
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
