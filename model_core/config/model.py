"""Settings of the model. Read this file and you know the architecture; no torch here.

A switch (``use_…``) says whether a part is there, a ``kind`` beside it says which variant.
Both are read in ``model_core/build.py`` only. ``docs/model.md`` describes each part.
"""

import math
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from model_core.config.base import Section

NUM_BODIES = 13
"""Celestial bodies, the nodes of the graph; their names stand in ``model_core.sky.bodies``."""


class CelestialProcessorSettings(Section):
    """Waves to one state per body: a phase-aware network, or the plain weighted mean per body."""

    kind: Literal["phase_aware", "aggregate"] = "phase_aware"
    hidden_dim: int = Field(32, ge=4)
    temporal_mixer: Literal["conv", "gru"] = "conv"
    pair_rank: int = Field(4, ge=1)


class TraditionalLearnerSettings(Section):
    """Network from the encoder state to one N × N graph per time step."""

    rank: int = Field(16, ge=1)


class DataDrivenLearnerSettings(Section):
    """Similarity of learned source and target node embeddings, modulated by node features."""

    embedding_dim: int = Field(16, ge=1)


class StochasticLearnerSettings(Section):
    """Gaussian edges: mean and log-variance each, reparameterized in training."""

    rank: int = Field(16, ge=1)
    prior_std: float = Field(1.0, gt=0)
    reg_loss_weight: float = Field(1e-3, ge=0)
    kl_weight: float = Field(1.0, ge=0)
    kl_anneal_epochs: int = Field(0, ge=0)


class GraphSettings(Section):
    """Which learned graphs join the aspect and phase graphs, and what is asked of the combined one."""

    use_traditional: bool = True
    use_data_driven: bool = True
    use_aspects: bool = True
    use_phase_edges: bool = True
    use_dynamic: bool = True
    sparsity_weight: float = Field(0.0, ge=0)
    smoothness_weight: float = Field(0.0, ge=0)
    traditional: TraditionalLearnerSettings = TraditionalLearnerSettings()
    data_driven: DataDrivenLearnerSettings = DataDrivenLearnerSettings()
    stochastic: StochasticLearnerSettings = StochasticLearnerSettings()


class CombinerSettings(Section):
    """How the source graphs become one: all steps at once, step by step, or gating whole graphs."""

    kind: Literal["batched", "sequential", "gated"] = "batched"
    edge_dim: int = Field(16, ge=2)


class EncodingSettings(Section):
    """Spatio-temporal encoding: one graph per time step, or the time mean of the graphs."""

    kind: Literal["dynamic", "joint"] = "dynamic"
    graph_hops: int = Field(2, ge=1, le=4)
    kernel_sizes: tuple[PositiveInt, ...] = Field((1, 3, 5, 7), min_length=1)


class HierarchicalMapperSettings(Section):
    """Body queries over a pyramid of temporal resolutions."""

    pool_factors: tuple[PositiveInt, ...] = Field((1, 4, 16), min_length=1)


class MixtureSettings(Section):
    """Mixture head: K components shared across targets per step."""

    kind: Literal["mixture", "sequential_mixture"] = "mixture"
    components: int = Field(3, ge=1, le=16)
    nll_mode: Literal["independent", "joint"] = "independent"


class BaseModelSettings(Section):
    """Parts that only ``kind: enhanced_pgat`` has."""

    patch_lengths: tuple[PositiveInt, ...] = Field((8, 16, 32), min_length=1)
    latent_queries: int = Field(8, ge=1)
    transition_nodes: int = Field(8, ge=1)
    phase_frequencies: int = Field(8, ge=1)
    influence_lags: tuple[PositiveInt, ...] = Field((1, 2, 3), min_length=1)


class ModelSettings(Section):
    """The Celestial Enhanced PGAT, or its base model. Defaults are the published production run."""

    kind: Literal["celestial_enhanced_pgat", "enhanced_pgat"] = "celestial_enhanced_pgat"

    d_model: int = Field(130, ge=1)
    n_heads: int = Field(8, ge=1)
    e_layers: int = Field(4, ge=1)
    d_layers: int = Field(2, ge=1)
    d_ff: int = Field(512, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)

    num_input_waves: int = Field(118, ge=5)
    target_wave_indices: tuple[int, ...] = (0, 1, 2, 3)

    celestial_dim: int = Field(32, ge=4)
    celestial_fusion_layers: int = Field(4, ge=1)

    use_celestial_graph: bool = True
    aggregate_waves_to_celestial: bool = True
    use_efficient_covariate_interaction: bool = True
    use_future_sky: bool = True
    use_hierarchical_mapping: bool = False
    use_stochastic_learner: bool = False
    use_mixture_decoder: bool = False
    gradient_checkpointing: bool = False

    celestial_processor: CelestialProcessorSettings = CelestialProcessorSettings()
    graph: GraphSettings = GraphSettings()
    combiner: CombinerSettings = CombinerSettings()
    encoding: EncodingSettings = EncodingSettings()
    hierarchical_mapper: HierarchicalMapperSettings = HierarchicalMapperSettings()
    mixture: MixtureSettings = MixtureSettings()
    enhanced_pgat: BaseModelSettings = BaseModelSettings()

    @property
    def width(self) -> int:
        """D: the next multiple of lcm(bodies, heads) at or above ``d_model`` (130 → 208)."""
        step = math.lcm(NUM_BODIES, self.n_heads)
        return step * math.ceil(self.d_model / step)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.d_model < NUM_BODIES:
            raise ValueError(
                f"d_model is {self.d_model}; it must be at least {NUM_BODIES}, one column per body"
            )
        if len(self.target_wave_indices) != 4 or len(set(self.target_wave_indices)) != 4:
            raise ValueError(
                "target_wave_indices must name four different waves (Open, High, Low, Close), "
                f"since the heads forecast candles; got {list(self.target_wave_indices)}"
            )
        outside = [i for i in self.target_wave_indices if not 0 <= i < self.num_input_waves]
        if outside:
            raise ValueError(
                f"target_wave_indices {outside} lie outside the {self.num_input_waves} input waves"
            )
        if any(size % 2 == 0 for size in self.encoding.kernel_sizes):
            raise ValueError(f"encoding.kernel_sizes must be odd; got {list(self.encoding.kernel_sizes)}")
        return self
