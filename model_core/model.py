"""CelestialEnhancedPGAT: the whole forward pass, in the order of the diagram in ``docs/model.md``."""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.data.windows import Window
from model_core.nn.blocks import Run
from model_core.nn.bundles import BodyStates, Explanation, Forecast, Reads
from model_core.nn.celestial.body_nodes import CelestialBodyNodes, LatentNodes
from model_core.nn.covariates import EfficientCovariateInteraction, FullInteraction
from model_core.nn.embedding import sinusoids
from model_core.nn.graph.edges import EdgeSources

TIME_DELTA = len(TARGETS)
FIRST_SKY = TIME_DELTA + 1


class Graph(NamedTuple):
    """What the encoder knows before it starts to mix: nodes, targets, their graph, and the context."""

    nodes: Float[Tensor, "B S N d"]
    targets: Float[Tensor, "B S T d"]
    adjacency: Float[Tensor, "B S N N"]
    future_states: Float[Tensor, "B P N C"]
    context: Float[Tensor, "B D"]
    penalties: dict[str, Tensor]


class CelestialEnhancedPGAT(nn.Module):
    """Phase-aware graph attention over thirteen bodies and four targets; built by ``model_core.build``.

    Every argument is a slot that holds one module (``model_core.nn.bundles`` has the signatures);
    nothing here asks which variant it is. The head corrects a structured random walk and is zero before
    training, so an untrained model forecasts that walk.
    """

    def __init__(
        self,
        *,
        future_sky: nn.Module,
        processor: nn.Module,
        embedding: nn.Module,
        market_context: nn.Module,
        body_nodes: CelestialBodyNodes | LatentNodes,
        body_reader: nn.Module,
        edge_sources: EdgeSources,
        combiner: nn.Module,
        graph_penalties: nn.Module,
        mapper: nn.Module,
        encoding: nn.Module,
        target_nodes: nn.Module,
        interaction: EfficientCovariateInteraction | FullInteraction,
        queries: nn.Module,
        decoder: nn.ModuleList,
        baseline: nn.Module,
        head: nn.Module,
        width: int,
        node_width: int,
        label_len: int,
        run: Run,
        reads: Reads,
    ) -> None:
        super().__init__()
        self.future_sky = future_sky
        self.processor = processor
        self.embedding = embedding
        self.market_context = market_context
        self.body_nodes = body_nodes
        self.body_reader = body_reader
        self.edge_sources = edge_sources
        self.combiner = combiner
        self.graph_penalties = graph_penalties
        self.mapper = mapper
        self.encoding = encoding
        self.target_nodes = target_nodes
        self.interaction = interaction
        self.queries = queries
        self.decoder = decoder
        self.baseline = baseline
        self.head = head
        self.encoder_norm = nn.LayerNorm(width)
        self.known_targets = nn.Linear(len(TARGETS) * node_width, width, bias=False)
        self.horizon_context = nn.Linear(width, width, bias=False)
        self.node_width = node_width
        self.label_len = label_len
        self.run = run
        self.reads = reads

    def forward(self, window: Window) -> Forecast:
        """Forecast of a batch; reads neither its targets nor its dates."""
        graph = self._graph(window)
        nodes, targets = self.interaction(graph.nodes, graph.targets, graph.adjacency)
        decoded = self._decode(window, graph, nodes, targets)
        baseline = self.baseline(window.past_waves[..., :TIME_DELTA], window.scale)
        forecast: Forecast = self.head(decoded, baseline)
        return replace(forecast, penalties={**graph.penalties, **forecast.penalties})

    @torch.no_grad()
    def explain(self, window: Window) -> Explanation:
        """The learned graph and what the targets read from the bodies, averaged over the known days."""
        graph = self._graph(window)
        return Explanation(
            adjacency=graph.adjacency.mean(1),
            target_to_body=self.interaction.target_to_body(graph.nodes, graph.targets, graph.adjacency),
            source_weights=self.edge_sources.weights(graph.context),
            source_names=self.edge_sources.names,
            node_names=self.body_nodes.names,
        )

    def _graph(self, window: Window) -> Graph:
        """Steps 1–9: waves to nodes, their combined graph, and the spatio-temporal encoding."""
        waves = window.past_waves
        steps = waves.shape[1]
        past_sky = waves[..., FIRST_SKY:]
        bodies = self.processor(torch.cat([past_sky, self.future_sky(window.future_sky)], dim=1))
        known = BodyStates(bodies.states[:, :steps], bodies.edges[:, :steps])

        features = torch.cat([waves[..., :FIRST_SKY], known.states.flatten(2)], dim=-1)
        encoded = self.embedding(features, window.past_calendar)
        context = self.market_context(encoded)
        body_nodes = self.body_nodes(known.states)
        encoded = self.body_reader(encoded, body_nodes)

        edges, penalties = self.edge_sources(past_sky, known, encoded, body_nodes, context)
        adjacency = self.combiner(edges, encoded, context)
        nodes = self.mapper(body_nodes + encoded.unflatten(-1, (-1, self.node_width)))
        return Graph(
            nodes=self.run(self.encoding, nodes, adjacency),
            targets=self.target_nodes(waves[..., :TIME_DELTA]),
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
        """Steps 12: the last known days and the horizon's queries through the decoder layers."""
        encoded = self.encoder_norm(nodes.flatten(2))
        label = encoded[:, -self.label_len :] + self.known_targets(targets.flatten(2)[:, -self.label_len :])
        calendar = window.future_calendar
        horizon, width = calendar.shape[1], encoded.shape[-1]
        position = sinusoids(horizon, width, start=encoded.shape[1], device=encoded.device)
        context = self.horizon_context(graph.context).unsqueeze(1)
        future = self.queries(graph.future_states, calendar) + position + context
        tokens = torch.cat([label, future], dim=1)
        *layers, last = self.decoder
        for layer in layers:
            tokens = self.run(layer, tokens, encoded, nodes[:, -1], tokens.shape[1])
        return self.run(last, tokens, encoded, nodes[:, -1], horizon)
