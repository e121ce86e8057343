"""EnhancedPGAT: the base model, without celestial bodies. Waves are nodes and speak through transitions.

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
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window
from model_core.nn.baseline import StructuredWalkBaseline
from model_core.nn.bundles import Explanation, Forecast, Reads
from model_core.nn.embedding import sinusoids
from model_core.nn.graph.combiners.gated import GatedGraphCombiner
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


@dataclass(frozen=True)
class WaveGraph:
    """A window as nodes, and who hears whom."""

    nodes: WaveFeatures
    graph: PathGraph
    """Both hops, combined: non-negative, rows sum to 1."""
    gates: Float[Tensor, "B G"]
    """How far each proposal is open, mean of both hops."""
    memory: Float[Tensor, "B L D"]
    """The targets' patches side by side, for the decoder."""
    context: Float[Tensor, "B D"]


class EnhancedPGAT(nn.Module):
    """Patched graph attention over the waves; built by ``model_core.build``.

    Args:
        settings: widths, and the section ``enhanced_pgat``.
        inputs: the dataset's waves, scaling and structured walk.
        queries: horizon queries (``nn/embedding.py``); they are given the horizon's sky as one node.
        decoder: layers (``nn/decoder_layer.py``) that read the targets' patches and all nodes.
        head: decoded horizon to forecast.
        reads: what the queries and the waves let it see.
    """

    wave_of_body: Float[Tensor, "V N"]

    def __init__(
        self,
        settings: ModelSettings,
        inputs: ModelInputs,
        queries: nn.Module,
        decoder: nn.ModuleList,
        head: nn.Module,
        reads: Reads,
    ) -> None:
        super().__init__()
        own, width, node_width = settings.enhanced_pgat, settings.width, settings.width // len(BODIES)
        waves, transitions = len(inputs.waves), own.transition_nodes
        self.lags = own.influence_lags
        self.patches = PatchEmbedding(waves, node_width, own.patch_lengths)
        self.reader = LatentReader(node_width, own.latent_queries)
        self.phases = FourierPhases(own.phase_frequencies)
        self.phase_features = nn.Linear(2 * own.phase_frequencies, node_width, bias=False)
        self.influence_features = nn.Linear(len(TARGETS) * len(self.lags), node_width, bias=False)
        self.context = nn.Linear(len(TARGETS) * node_width, width)
        self.proposals = nn.ModuleDict(
            {
                "states": StateProposal(transitions, node_width),
                "learned": LearnedProposal(waves - FIRST_WAVE, transitions),
                "phases": PhaseProposal(transitions, own.phase_frequencies),
                "influence": InfluenceProposal(transitions, len(self.lags)),
            }
        )
        self.names = tuple(self.proposals)
        self.into_transition = GatedGraphCombiner(len(self.names), width, settings.combiner)
        self.into_target = GatedGraphCombiner(len(self.names), width, settings.combiner)
        self.transitions = nn.Parameter(torch.randn(transitions, node_width) * 0.5)
        self.messages = nn.ModuleList(
            PathMessages(node_width, settings.d_ff, settings.dropout) for _ in range(settings.e_layers)
        )
        self.memory = nn.Linear(len(TARGETS) * node_width, width)
        self.targets = nn.Linear(len(TARGETS) * node_width, width, bias=False)
        self.queries = queries
        self.decoder = decoder
        self.baseline = StructuredWalkBaseline(inputs)
        self.head = head
        self.reads = reads
        self.register_buffer("wave_of_body", _wave_of_body(inputs), persistent=False)

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
        nodes = torch.cat([waves, transitions, targets], dim=1)
        for layer in self.decoder:
            tokens = layer(tokens, known.memory, nodes, horizon)

        baseline = self.baseline(window.past_waves[..., :FIRST_WAVE], window.scale)
        forecast: Forecast = self.head(tokens, baseline)
        return forecast

    @torch.no_grad()
    def explain(self, window: Window) -> Explanation:
        """The graph in terms of bodies, by the waves that belong to each.

        A body hears from another as far as transitions read both; a target reads from a body what reaches
        it along wave → transition → target.
        """
        known = self._wave_graph(window)
        read = known.graph.into_transition @ self.wave_of_body
        shared = read.transpose(1, 2) @ read + 1e-9
        return Explanation(
            adjacency=shared / shared.sum(-1, keepdim=True),
            target_to_body=known.graph.into_target @ read,
            source_weights=known.gates / known.gates.sum(-1, keepdim=True),
            source_names=self.names,
            node_names=BODIES,
        )

    def _wave_graph(self, window: Window) -> WaveGraph:
        """Node states, the proposals, and the graph that the gates make of them."""
        waves = window.past_waves
        tokens = self.patches(waves)
        phases = self.phases(waves)
        states = self.reader(tokens) + self.phase_features(phases)
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
        memory = self.memory(tokens[:, :FIRST_WAVE].transpose(1, 2).flatten(2))
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


def _wave_of_body(inputs: ModelInputs) -> Float[Tensor, "V N"]:
    """1 where a wave that is no target belongs to a body; waves of no body are nobody's."""
    waves = inputs.waves[FIRST_WAVE:]
    return torch.tensor([[float(wave.body == body) for body in BODIES] for wave in waves])
