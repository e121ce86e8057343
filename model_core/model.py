"""CelestialEnhancedPGAT: the whole forward pass, in the order of the diagram in ``docs/model.md``."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import FIRST_SKY, TARGETS
from model_core.config.model import NUM_BODIES
from model_core.data.windows import Window
from model_core.nn.bundles import BodyStates, Forecast, LearnedGraph, Reads
from model_core.nn.celestial.body_nodes import CelestialBodyNodes, LatentNodes
from model_core.nn.covariates import EfficientCovariateInteraction, FullInteraction
from model_core.nn.embedding import sinusoids
from model_core.nn.forecaster import Forecaster
from model_core.nn.graph.edges import EdgeSources
from model_core.nn.recomputation import RunPolicy
from model_core.nn.slots import (
    CelestialProcessor,
    GraphCombiner,
    HorizonDecoder,
    SpatioTemporalEncoding,
    TemporalMapper,
)


@dataclass(frozen=True)
class SkyEncoder:
    """From the sky of the window and of the horizon to the state of every body."""

    future_sky: nn.Module
    """As much of the horizon's sky as the model may see."""
    processor: CelestialProcessor


@dataclass(frozen=True)
class WindowReader:
    """From prices, calendar and body states to an encoder state a day, the market context, and the nodes."""

    embedding: nn.Module
    market_context: nn.Module
    body_nodes: CelestialBodyNodes | LatentNodes
    body_reader: nn.Module


@dataclass(frozen=True)
class GraphBuilder:
    """From all of these to one graph a day, and what is asked of it beside a good forecast."""

    edge_sources: EdgeSources
    combiner: GraphCombiner
    penalties: nn.Module


@dataclass(frozen=True)
class NodeEncoder:
    """Mixes nodes along the graph and along time, and lets the targets read the bodies."""

    mapper: TemporalMapper
    encoding: SpatioTemporalEncoding
    target_nodes: nn.Module
    interaction: EfficientCovariateInteraction | FullInteraction


class Graph(NamedTuple):
    """What the encoder knows before it starts to mix: nodes, targets, their graph, and the context."""

    nodes: Float[Tensor, "B S N d"]
    targets: Float[Tensor, "B S T d"]
    adjacency: Float[Tensor, "B S N N"]
    future_states: Float[Tensor, "B P N C"]
    context: Float[Tensor, "B D"]
    penalties: dict[str, Tensor]


class CelestialEnhancedPGAT(Forecaster):
    """Phase-aware graph attention over thirteen bodies and four targets; built by ``model_core.build``.

    Nothing here asks which variant a slot holds. The head corrects a structured random walk and is zero before
    training, so an untrained model forecasts that walk.

    Args:
        sky, reader, graph, encoder, horizon: its parts, registered here under their published names.
        width: D.
        label_len: L.
        run: how the encoder's and the decoder's layers are run.
        reads: what of a window reaches the forecast.
    """

    def __init__(
        self,
        *,
        sky: SkyEncoder,
        reader: WindowReader,
        graph: GraphBuilder,
        encoder: NodeEncoder,
        horizon: HorizonDecoder,
        width: int,
        label_len: int,
        run: RunPolicy,
        reads: Reads,
    ) -> None:
        super().__init__()
        # Names and order of the parts are those of every checkpoint: state and optimizer refer to them.
        self.future_sky = sky.future_sky
        self.processor = sky.processor
        self.embedding = reader.embedding
        self.market_context = reader.market_context
        self.body_nodes = reader.body_nodes
        self.body_reader = reader.body_reader
        self.edge_sources = graph.edge_sources
        self.combiner = graph.combiner
        self.graph_penalties = graph.penalties
        self.mapper = encoder.mapper
        self.encoding = encoder.encoding
        self.target_nodes = encoder.target_nodes
        self.interaction = encoder.interaction
        self.queries = horizon.queries
        self.decoder = horizon.layers
        self.baseline = horizon.baseline
        self.head = horizon.head
        self.node_width = width // NUM_BODIES
        self.encoder_norm = nn.LayerNorm(width)
        self.known_targets = nn.Linear(len(TARGETS) * self.node_width, width, bias=False)
        self.horizon_context = nn.Linear(width, width, bias=False)
        self.label_len = label_len
        self.run = run
        self.reads = reads

    def forward(self, window: Window) -> Forecast:
        """Forecast of a batch; reads neither its targets nor its dates."""
        graph = self._graph(window)
        nodes, targets = self.interaction(graph.nodes, graph.targets, graph.adjacency)
        decoded = self._decode(window, graph, nodes, targets)
        baseline = self.baseline(window.past_waves[..., : len(TARGETS)], window.scale)
        forecast = self.head(decoded, baseline)
        return replace(forecast, penalties={**graph.penalties, **forecast.penalties})

    def at_rest(self, window: Window) -> Forecast:
        """The forecast before training: the structured walk."""
        return self.head.at_rest(self.baseline(window.past_waves[..., : len(TARGETS)], window.scale))

    @torch.no_grad()
    def explain(self, window: Window) -> LearnedGraph:
        """The learned graph and what the targets read from the bodies, averaged over the known days."""
        graph = self._graph(window)
        return LearnedGraph(
            adjacency=graph.adjacency.mean(1),
            target_to_body=self.interaction.target_to_body(graph.nodes, graph.targets, graph.adjacency),
            source_weights=self.edge_sources.weights(graph.context),
            source_names=self.edge_sources.names,
            node_names=self.body_nodes.names,
        )

    def _graph(self, window: Window) -> Graph:
        """Waves to nodes, their combined graph, and the spatio-temporal encoding."""
        waves = window.past_waves
        steps = waves.shape[1]
        past_sky = waves[..., FIRST_SKY:]
        # One pass over S + P days, or S if the horizon's sky is not read: the processor is causal, so no known day
        # hears of the horizon.
        bodies = self.processor(torch.cat([past_sky, self.future_sky(window.future_sky)], dim=1))
        known = BodyStates(bodies.states[:, :steps], bodies.edges[:, :steps])

        # Prices, time step, and the states of all bodies side by side: [B, S, 5 + N · C]
        features = torch.cat([waves[..., :FIRST_SKY], known.states.flatten(2)], dim=-1)
        encoded = self.embedding(features, window.past_calendar)  # [B, S, D]
        context = self.market_context(encoded)  # [B, D]
        body_nodes = self.body_nodes(known.states)  # [B, S, N, d]
        encoded = self.body_reader(encoded, body_nodes)

        edges, penalties = self.edge_sources(past_sky, known, encoded, body_nodes, context)
        adjacency = self.combiner(edges, encoded, context)
        # D = N · d: each node gets its own d channels of the encoder state.
        nodes = self.mapper(body_nodes + encoded.unflatten(-1, (-1, self.node_width)))
        return Graph(
            nodes=self.run(self.encoding, nodes, adjacency),
            targets=self.target_nodes(waves[..., : len(TARGETS)]),
            adjacency=adjacency,
            future_states=bodies.states[:, steps:],
            context=context,
            penalties={**penalties, **self.graph_penalties(adjacency)},
        )

    def _decode(
        self,
        window: Window,
        graph: Graph,
        nodes: Float[Tensor, "B S N d"],
        targets: Float[Tensor, "B S T d"],
    ) -> Float[Tensor, "B P D"]:
        """The last known days and the horizon's queries through the decoder layers."""
        encoded = self.encoder_norm(nodes.flatten(2))  # [B, S, D]
        label = encoded[:, -self.label_len :] + self.known_targets(targets.flatten(2)[:, -self.label_len :])
        calendar = window.future_calendar
        horizon, width = calendar.shape[1], encoded.shape[-1]
        # Positions go on where the encoder's end.
        position = sinusoids(horizon, width, start=encoded.shape[1], device=encoded.device)
        context = self.horizon_context(graph.context).unsqueeze(1)
        future = self.queries(graph.future_states, calendar) + position + context
        tokens = torch.cat([label, future], dim=1)  # [B, L + P, D]
        # Every layer but the last computes all tokens; of the last one only the horizon is read.
        *layers, last = self.decoder
        for layer in layers:
            tokens = self.run(layer, tokens, encoded, nodes[:, -1], tokens.shape[1])
        return self.run(last, tokens, encoded, nodes[:, -1], horizon)
