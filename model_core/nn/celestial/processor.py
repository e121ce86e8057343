"""PhaseAwareCelestialProcessor: 113 sky waves to a state per body and an edge per pair of bodies."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from model_core.config.model import NUM_BODIES, CelestialProcessorSettings
from model_core.data.inputs import ModelInputs
from model_core.nn.blocks import CausalConvMixer, CausalGRUMixer
from model_core.nn.bundles import BodyStates
from model_core.nn.celestial.phase import BodyPhases, wave_bodies
from model_core.nn.celestial.phase_edges import PhaseEdgeNetwork
from model_core.nn.node_attention import attend_nodes
from model_core.nn.recomputation import chunked_checkpoint

HEADS = 4
"""Of the attention among the bodies: 8 channels each of the published C = 32."""
BIAS_STD = 0.1
"""Initial deviation of a body's bias: enough to tell bodies without waves apart, little beside waves of unit size."""


class GroupedWaveNetwork(nn.Module):
    """A two-layer network for each body over its own waves, all bodies in two products.

    The first layer holds one weight vector per wave, which only the wave's own body reads; the second
    one matrix per body. A body without waves is its bias.
    """

    readers: Float[Tensor, "K N"]

    def __init__(self, inputs: ModelInputs, hidden: int, width: int) -> None:
        super().__init__()
        readers = wave_bodies(inputs).float()
        waves, bodies = readers.shape
        self.register_buffer("readers", readers, persistent=False)
        # A body reads about 9 waves of about unit size: a sum of variance 9 · (1/3)² = 1 goes into the GELU.
        self.inner = nn.Parameter(torch.randn(waves, hidden) / 3.0)
        self.inner_bias = nn.Parameter(torch.randn(bodies, hidden) * BIAS_STD)
        # Variance 1/hidden: a sum over ``hidden`` numbers of variance 1 has variance 1.
        self.outer = nn.Parameter(torch.randn(bodies, hidden, width) * hidden**-0.5)
        self.outer_bias = nn.Parameter(torch.zeros(bodies, 1, width))

    def forward(self, sky: Float[Tensor, "n K"]) -> Float[Tensor, "n N C"]:
        # [K, N, 1] · [K, 1, hidden] -> [K, N · hidden], 0 where a body does not read a wave
        dense = (self.readers.unsqueeze(-1) * self.inner.unsqueeze(1)).flatten(1)
        hidden = F.gelu(torch.addmm(self.inner_bias.flatten(), sky, dense)).unflatten(
            -1, self.inner_bias.shape
        )
        # One matrix a body: [N, n, hidden] @ [N, hidden, C] -> [N, n, C] -> [n, N, C]
        return torch.baddbmm(self.outer_bias, hidden.transpose(0, 1), self.outer).transpose(0, 1)


class PhaseAwareCelestialProcessor(nn.Module):
    """Own waves → causal temporal mixing → attention among the bodies, biased by the phase edges."""

    def __init__(self, inputs: ModelInputs, celestial_dim: int, settings: CelestialProcessorSettings) -> None:
        super().__init__()
        self.phases = BodyPhases(inputs)
        self.waves = GroupedWaveNetwork(inputs, settings.hidden_dim, celestial_dim)
        self.wave_norm = nn.LayerNorm(celestial_dim)
        self.mixer: nn.Module
        match settings.temporal_mixer:
            case "conv":
                self.mixer = CausalConvMixer(celestial_dim)
            case "gru":
                self.mixer = CausalGRUMixer(celestial_dim)
        self.edges = PhaseEdgeNetwork(celestial_dim, settings.pair_rank, settings.hidden_dim // 2)
        # An edge, in [0, 1], starts by making an attention weight up to e times as large; each head may learn its own.
        self.edge_bias = nn.Parameter(torch.ones(HEADS))
        self.pair_norm = nn.LayerNorm(celestial_dim)
        self.project = nn.Linear(celestial_dim, 3 * celestial_dim, bias=False)
        self.out = nn.Linear(celestial_dim, celestial_dim)

    def forward(self, sky: Float[Tensor, "B S K"]) -> BodyStates:
        window = sky.shape[:2]
        steps = sky.flatten(0, 1)  # [n, K]
        states = self.wave_norm(self.waves(steps)).unflatten(0, window)
        states = states + self.mixer(states)
        states, edges = chunked_checkpoint(self, self._attend_bodies, steps, states.flatten(0, 1))
        return BodyStates(states.unflatten(0, window), edges.unflatten(0, window))

    def _attend_bodies(
        self, sky: Float[Tensor, "n K"], states: Float[Tensor, "n N C"]
    ) -> tuple[Float[Tensor, "n N C"], Float[Tensor, "n N N"]]:
        """Bodies read each other, guided by the phase edges; new states, and those edges."""
        normed = self.pair_norm(states)
        edges = self.edges(self.phases(sky), normed)
        width = states.shape[-1]
        # [n, N, C] and, keys beside values, [n, N, 2 · C]
        queries, memory = self.project(normed).split([width, 2 * width], dim=-1)
        read = attend_nodes(queries, memory, HEADS, edges, self.edge_bias)
        return states + self.out(read), edges


class UngroupedProcessor(nn.Module):
    """Every body reads all sky waves: what is left without ``aggregate_waves_to_celestial``."""

    def __init__(self, waves: int, celestial_dim: int) -> None:
        super().__init__()
        self.states = nn.Linear(waves, NUM_BODIES * celestial_dim)
        self.edge_scale = nn.Parameter(torch.ones(()))

    def forward(self, sky: Float[Tensor, "B S K"]) -> BodyStates:
        states = self.states(sky).unflatten(-1, (NUM_BODIES, -1))
        unit = F.normalize(states, dim=-1)
        return BodyStates(states, torch.sigmoid(self.edge_scale * (unit @ unit.transpose(-1, -2))))


class NoSky(nn.Module):
    """No celestial graph: states without a single feature."""

    def forward(self, sky: Float[Tensor, "B S K"]) -> BodyStates:
        nodes = NUM_BODIES
        return BodyStates(
            sky.new_zeros(*sky.shape[:2], nodes, 0), sky.new_zeros(*sky.shape[:2], nodes, nodes)
        )
