"""EnhancedPGAT: the base model, without celestial bodies. Waves are nodes, linked through transition nodes.

waves ─ patches ─ latent queries ─┐
      ─ Fourier phases ───────────┼─> node states ─> four proposals, gated ─> wave → transition → target
      ─ delayed influence ────────┘                                                        │
calendar and sky of the horizon ─> queries ─> decoder <─ patches of the targets, all nodes ┘ ─> head
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.config.model import NUM_BODIES, BaseModelSettings, CombinerSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window
from model_core.nn.blocks import EMBEDDING_STD
from model_core.nn.bundles import Forecast, LearnedGraph, Reads
from model_core.nn.embedding import sinusoids
from model_core.nn.forecaster import Forecaster
from model_core.nn.graph.combiners.gated import GatedGraphCombiner
from model_core.nn.slots import HorizonDecoder
from model_core.nn.waves.features import FourierPhases, delayed_influence
from model_core.nn.waves.messages import PathMessages
from model_core.nn.waves.patches import LatentReader, PatchEmbedding
from model_core.nn.waves.proposals import (
    InfluenceProposal,
    LearnedProposal,
    PathGraph,
    PhaseProposal,
    StateProposal,
    WaveFeatures,
)
from model_core.sky.bodies import BODIES

FIRST_WAVE = len(TARGETS)
"""Column of the first wave that is not a target."""
MIN_SHARED = 1e-9
"""Added to what two bodies share: a body whose waves no transition reads has equal edges then, instead of 0 / 0."""


@dataclass(frozen=True)
class WaveReader:
    """From a window's waves to node states, and to features that need no weights."""

    patches: PatchEmbedding
    reader: LatentReader
    phases: FourierPhases
    phase_features: nn.Linear
    influence_features: nn.Linear
    lags: tuple[int, ...]
    """Days after which a wave's influence on the targets is looked for."""
    wave_of_body: Float[Tensor, "V N"]
    """1 where a wave belongs to a body; only ``explain`` reads it."""

    @staticmethod
    def of(settings: BaseModelSettings, inputs: ModelInputs, width: int) -> "WaveReader":
        """The parts for the waves of a dataset."""
        node_width, lags = width // NUM_BODIES, settings.influence_lags
        return WaveReader(
            patches=PatchEmbedding(len(inputs.waves), node_width, settings.patch_lengths),
            reader=LatentReader(node_width, settings.latent_queries),
            phases=FourierPhases(settings.phase_frequencies),
            phase_features=nn.Linear(2 * settings.phase_frequencies, node_width, bias=False),
            influence_features=nn.Linear(len(TARGETS) * len(lags), node_width, bias=False),
            lags=lags,
            wave_of_body=torch.tensor(
                [[float(wave.body == body) for body in BODIES] for wave in inputs.waves[FIRST_WAVE:]]
            ),
        )


@dataclass(frozen=True)
class PathGraphBuilder:
    """From wave features to one graph for each of the two hops."""

    context: nn.Linear
    proposals: nn.ModuleDict
    """Modules ``WaveFeatures`` → ``PathGraph``, by name."""
    into_transition: GatedGraphCombiner
    into_target: GatedGraphCombiner

    @staticmethod
    def of(
        settings: BaseModelSettings, combiner: CombinerSettings, waves: int, width: int
    ) -> "PathGraphBuilder":
        """Four proposals, and a combiner for either hop."""
        node_width, transitions = width // NUM_BODIES, settings.transition_nodes
        context = nn.Linear(len(TARGETS) * node_width, width)
        proposals = nn.ModuleDict(
            {
                "states": StateProposal(transitions, node_width),
                "learned": LearnedProposal(waves - FIRST_WAVE, transitions),
                "phases": PhaseProposal(transitions, settings.phase_frequencies),
                "influence": InfluenceProposal(transitions, len(settings.influence_lags)),
            }
        )
        return PathGraphBuilder(
            context=context,
            proposals=proposals,
            into_transition=GatedGraphCombiner(len(proposals), width, combiner),
            into_target=GatedGraphCombiner(len(proposals), width, combiner),
        )


@dataclass(frozen=True)
class PathEncoder:
    """Messages along the graph."""

    transitions: nn.Parameter
    """[R, d] states that the transition nodes start from."""
    messages: nn.ModuleList
    """``PathMessages``, one layer after another."""

    @staticmethod
    def of(
        settings: BaseModelSettings, width: int, layers: int, hidden: int, dropout: float
    ) -> "PathEncoder":
        """Transition nodes, and layers of messages."""
        node_width = width // NUM_BODIES
        return PathEncoder(
            transitions=nn.Parameter(torch.randn(settings.transition_nodes, node_width) * EMBEDDING_STD),
            messages=nn.ModuleList(PathMessages(node_width, hidden, dropout) for _ in range(layers)),
        )


@dataclass(frozen=True)
class WaveGraph:
    """A window as nodes, and who hears whom."""

    nodes: WaveFeatures
    graph: PathGraph
    """Both hops, combined: non-negative, rows sum to 1."""
    gates: Float[Tensor, "B G"]
    """How far each proposal is open, mean of both hops."""
    memory: Float[Tensor, "B patches D"]
    """The targets' patches side by side, for the decoder."""
    context: Float[Tensor, "B D"]


class EnhancedPGAT(Forecaster):
    """Patched graph attention over the waves; built by ``model_core.build``.

    Args:
        waves, graph, encoder, horizon: its parts, registered here under their published names. ``horizon.queries``
            are given the horizon's sky as one node, and its layers read the targets' patches and all nodes.
        width: D.
        reads: what of a window reaches the forecast.
    """

    wave_of_body: Float[Tensor, "V N"]

    def __init__(
        self,
        *,
        waves: WaveReader,
        graph: PathGraphBuilder,
        encoder: PathEncoder,
        horizon: HorizonDecoder,
        width: int,
        reads: Reads,
    ) -> None:
        super().__init__()
        side_by_side = len(TARGETS) * (width // NUM_BODIES)  # T · d
        # Names and order of the parts are those of every checkpoint: state and optimizer refer to them.
        self.patches = waves.patches
        self.reader = waves.reader
        self.phases = waves.phases
        self.phase_features = waves.phase_features
        self.influence_features = waves.influence_features
        self.lags = waves.lags
        self.context = graph.context
        self.proposals = graph.proposals
        self.names = tuple(graph.proposals)
        self.into_transition = graph.into_transition
        self.into_target = graph.into_target
        self.transitions = encoder.transitions
        self.messages = encoder.messages
        self.memory = nn.Linear(side_by_side, width)
        self.targets = nn.Linear(side_by_side, width, bias=False)
        self.queries = horizon.queries
        self.decoder = horizon.layers
        self.baseline = horizon.baseline
        self.head = horizon.head
        self.reads = reads
        self.register_buffer("wave_of_body", waves.wave_of_body, persistent=False)

    def forward(self, window: Window) -> Forecast:
        """Forecast of a batch; reads neither its targets nor its dates."""
        known = self._wave_graph(window)
        waves, targets = known.nodes.waves, known.nodes.targets
        transitions = self.transitions.expand(len(window), -1, -1)
        for layer in self.messages:
            transitions, targets = layer(waves, transitions, targets, known.graph)

        horizon, width = window.future_calendar.shape[1], known.memory.shape[-1]
        position = sinusoids(horizon, width, 0, known.memory.device)
        future = self.queries(window.future_sky.unsqueeze(2), window.future_calendar)
        tokens = future + position + (known.context + self.targets(targets.flatten(1))).unsqueeze(1)
        nodes = torch.cat([waves, transitions, targets], dim=1)  # [B, V + R + T, d]
        for layer in self.decoder:
            tokens = layer(tokens, known.memory, nodes, horizon)

        baseline = self.baseline(window.past_waves[..., :FIRST_WAVE], window.scale)
        return self.head(tokens, baseline)

    def at_rest(self, window: Window) -> Forecast:
        """The forecast before training: the structured walk."""
        return self.head.at_rest(self.baseline(window.past_waves[..., :FIRST_WAVE], window.scale))

    @torch.no_grad()
    def explain(self, window: Window) -> LearnedGraph:
        """The graph in terms of bodies, by the waves that belong to each.

        A body hears from another as far as transitions read both; a target reads from a body what reaches
        it along wave → transition → target.
        """
        known = self._wave_graph(window)
        read = known.graph.into_transition @ self.wave_of_body  # [B, R, V] @ [V, N] -> [B, R, N]
        shared = read.transpose(1, 2) @ read + MIN_SHARED  # [B, N, N]
        return LearnedGraph(
            adjacency=shared / shared.sum(-1, keepdim=True),
            target_to_body=known.graph.into_target @ read,
            source_weights=known.gates / known.gates.sum(-1, keepdim=True),
            source_names=self.names,
            node_names=BODIES,
        )

    def _wave_graph(self, window: Window) -> WaveGraph:
        """Node states, the proposals, and the graph that the gates make of them."""
        waves = window.past_waves
        tokens = self.patches(waves)  # [B, W, patches, d]
        phases = self.phases(waves)  # [B, W, phases]
        states = self.reader(tokens) + self.phase_features(phases)  # [B, W, d]
        influence = delayed_influence(waves[..., FIRST_WAVE:], waves[..., :FIRST_WAVE], self.lags)
        nodes = WaveFeatures(
            waves=states[:, FIRST_WAVE:] + self.influence_features(influence.flatten(2)),
            targets=states[:, :FIRST_WAVE],
            wave_phases=phases[:, FIRST_WAVE:],
            target_phases=phases[:, :FIRST_WAVE],
            influence=influence,
        )
        context = self.context(nodes.targets.flatten(1))
        graphs: list[PathGraph] = [proposal(nodes) for proposal in self.proposals.values()]
        # The targets' patches of one time side by side: [B, patches, T · d] -> [B, patches, D]
        memory = self.memory(tokens[:, :FIRST_WAVE].transpose(1, 2).flatten(2))
        # As graphs of a single day: [B, 1, R, V, G] and [B, 1, T, R, G]
        first = torch.stack([graph.into_transition for graph in graphs], dim=-1).unsqueeze(1)
        second = torch.stack([graph.into_target for graph in graphs], dim=-1).unsqueeze(1)
        gates = [self.into_transition.gates(first, context), self.into_target.gates(second, context)]
        return WaveGraph(
            nodes=nodes,
            graph=PathGraph(
                into_transition=self.into_transition.mix(first, context).squeeze(1),
                into_target=self.into_target.mix(second, context).squeeze(1),
            ),
            gates=torch.cat(gates, dim=1).mean(1),
            memory=memory,
            context=context,
        )
