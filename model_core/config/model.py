"""Settings of the model. Read this file and you know the architecture; no torch here.

A switch (``use_…``) says whether a part is there, a ``kind`` beside it says which variant.
Both are read in ``model_core/build.py`` only. ``docs/model.md`` describes each part.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from model_core.config.base import Section, Unit

NUM_BODIES = 13
"""Celestial bodies, the nodes of the graph; their names stand in ``model_core.sky.bodies``."""


class CelestialProcessorSettings(Section):
    """Waves to one state per body: a phase-aware network, or the plain weighted mean per body."""

    kind: Literal["phase_aware", "aggregate"] = "phase_aware"
    """Networks that look at phases and mix along time, or a learned mean of each body's waves."""
    hidden_dim: Annotated[int, Unit("channels")] = Field(32, ge=4)
    """``phase_aware``: width of the network from a body's waves to its state."""
    temporal_mixer: Literal["conv", "gru"] = "conv"
    """``phase_aware``: what mixes a body's states along time, causally."""
    pair_rank: int = Field(4, ge=1)
    """``phase_aware``: products of two bodies' states that a phase edge looks at."""


class TraditionalLearnerSettings(Section):
    """Network from the encoder state to one N × N graph per time step."""

    rank: int = Field(16, ge=1)
    """Of each step's graph before the sigmoid."""


class DataDrivenLearnerSettings(Section):
    """Similarity of learned source and target node embeddings, modulated by node features."""

    embedding_dim: Annotated[int, Unit("channels")] = Field(16, ge=1)
    """Width of a node's learned source and target vectors."""


class StochasticLearnerSettings(Section):
    """Gaussian edges: mean and log-variance each, reparameterized in training."""

    rank: int = Field(16, ge=1)
    """Of the means and of the deviations of the edges."""
    prior_std: float = Field(1.0, gt=0)
    """Deviation of the prior N(0, σ₀²) of an edge before the sigmoid."""
    reg_loss_weight: float = Field(1e-3, ge=0)
    """The loss grows by this times ``kl_weight`` times the divergence from the prior."""
    kl_weight: float = Field(1.0, ge=0)
    """Second factor of the same."""
    kl_anneal_epochs: Annotated[int, Unit("epochs")] = Field(0, ge=0)
    """Over which that weight rises from near 0; 0: it is whole from the start."""


class GraphSettings(Section):
    """Which learned graphs join the aspect and phase graphs, and what is asked of the combined one."""

    use_traditional: bool = True
    """A graph a day from the encoder's state."""
    use_data_driven: bool = True
    """Similarity of learned vectors of the bodies."""
    use_aspects: bool = True
    """Angles between bodies near 0°, 60°, 90°, 120° and 180°; needs ``use_celestial_graph``."""
    use_phase_edges: bool = True
    """Phase differences of bodies, read by a network; needs ``use_celestial_graph``."""
    use_dynamic: bool = True
    """Similarity of the bodies' states on the day."""
    sparsity_weight: float = Field(0.0, ge=0)
    """The loss grows by this times the mean entropy of a row of the combined graph (0 … 1)."""
    smoothness_weight: float = Field(0.0, ge=0)
    """The loss grows by this times the mean squared change of such a row from day to day."""
    traditional: TraditionalLearnerSettings = TraditionalLearnerSettings()
    """For ``use_traditional``."""
    data_driven: DataDrivenLearnerSettings = DataDrivenLearnerSettings()
    """For ``use_data_driven``."""
    stochastic: StochasticLearnerSettings = StochasticLearnerSettings()
    """For ``use_stochastic_learner``."""


class CombinerSettings(Section):
    """How the source graphs become one: all steps at once, step by step, or gating whole graphs."""

    kind: Literal["batched", "sequential", "gated"] = "batched"
    """All days at once, one day after another (the same result, slower), or a gain for each whole graph."""
    edge_dim: Annotated[int, Unit("channels")] = Field(16, ge=2)
    """Width of an edge's features."""


class EncodingSettings(Section):
    """Spatio-temporal encoding: one graph per time step, or the time mean of the graphs."""

    kind: Literal["dynamic", "joint"] = "dynamic"
    """One graph a day, or the mean of the graphs over time."""
    graph_hops: int = Field(2, ge=1, le=4)
    """How often a step passes values on along the graph."""
    kernel_sizes: Annotated[tuple[PositiveInt, ...], Unit("days")] = Field((1, 3, 5, 7), min_length=1)
    """Lengths of the convolutions along time; odd."""


class HierarchicalMapperSettings(Section):
    """Body queries over a pyramid of temporal resolutions."""

    pool_factors: Annotated[tuple[PositiveInt, ...], Unit("days")] = Field((1, 4, 16), min_length=1)
    """Days that a level of the pyramid takes the mean of."""


class MixtureSettings(Section):
    """Mixture head: K components shared across targets per step."""

    kind: Literal["mixture", "sequential_mixture"] = "mixture"
    """All steps of the horizon at once, or one after another, drift and variance adding up."""
    components: int = Field(3, ge=1, le=16)
    """Candles that the distribution is made of."""
    base_scale: Literal["har", "ewma"] = "har"
    """Its width before training: what the ranges of a day, a week and a month say, fitted on train, or EWMA volatility
    times the square root of the step."""
    loss: Literal["nll", "crps"] = "nll"
    """What training minimizes: −log likelihood, or the CRPS of each target, which days far off weigh less in."""
    nll_mode: Literal["independent", "joint"] = "independent"
    """``nll``: likelihood of each target by itself, or of the whole candle."""


class BaseModelSettings(Section):
    """Parts that only ``kind: enhanced_pgat`` has."""

    patch_lengths: Annotated[tuple[PositiveInt, ...], Unit("days")] = Field((8, 16, 32), min_length=1)
    """Pieces that the history is cut into, once for each length."""
    latent_queries: int = Field(8, ge=1)
    """Learned queries that read the pieces."""
    transition_nodes: int = Field(8, ge=1)
    """Nodes through which waves reach targets."""
    phase_frequencies: int = Field(8, ge=1)
    """Periods at which the phase of a wave is taken, evenly spaced in their logarithm."""
    influence_lags: Annotated[tuple[PositiveInt, ...], Unit("days")] = Field((1, 2, 3), min_length=1)
    """By which one wave may lead another."""


class ModelSettings(Section):
    """The Celestial Enhanced PGAT, or its base model. Defaults are the published production run."""

    kind: Literal["celestial_enhanced_pgat", "enhanced_pgat"] = "celestial_enhanced_pgat"
    """The model of bodies, or the base model, which reads all waves alike."""

    d_model: Annotated[int, Unit("channels")] = Field(130, ge=1)
    """Width of the model, raised to the next common multiple of 13 bodies and ``n_heads``: 208."""
    n_heads: int = Field(8, ge=1)
    """Heads of every attention."""
    e_layers: int = Field(4, ge=1)
    """Layers of attention along the graph."""
    d_layers: int = Field(2, ge=1)
    """Layers of the decoder."""
    d_ff: Annotated[int, Unit("channels")] = Field(512, ge=1)
    """Width within feed-forward networks."""
    dropout: Annotated[float, Unit("probability")] = Field(0.1, ge=0, lt=1)
    """Of an activation to be left out in training."""

    num_input_waves: Annotated[int, Unit("columns")] = Field(118, ge=5)
    """Columns of the wave table."""
    target_wave_indices: tuple[int, ...] = (0, 1, 2, 3)
    """Columns to forecast: log Open, High, Low, Close."""

    celestial_dim: Annotated[int, Unit("channels")] = Field(32, ge=4)
    """Width of one body's state."""
    celestial_fusion_layers: int = Field(4, ge=1)
    """Layers that combine the graphs into one; ``combiner.kind: gated`` has none."""

    use_celestial_graph: bool = True
    """``False``: no sky at all; 13 latent nodes and the learned graphs remain. The base model always reads the sky."""
    aggregate_waves_to_celestial: bool = True
    """Each body reads its own waves; ``False``: each body reads every sky wave, and ``celestial_processor`` is not
    used."""
    use_efficient_covariate_interaction: bool = True
    """Bodies among themselves first, then targets read them; ``False``: all 17 nodes in one graph."""
    use_future_sky: bool = True
    """The decoder sees the sky of the forecast days, which is known in advance."""
    use_hierarchical_mapping: bool = False
    """Bodies read the history at several resolutions."""
    use_stochastic_learner: bool = False
    """One more graph, whose edges are distributions."""
    use_mixture_decoder: bool = False
    """A distribution instead of a point forecast."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""

    celestial_processor: CelestialProcessorSettings = CelestialProcessorSettings()
    """From waves to the bodies' states."""
    graph: GraphSettings = GraphSettings()
    """Which graphs the combiner receives, and what is asked of the combined one."""
    combiner: CombinerSettings = CombinerSettings()
    """From many graphs to one."""
    encoding: EncodingSettings = EncodingSettings()
    """The encoder over time and bodies."""
    hierarchical_mapper: HierarchicalMapperSettings = HierarchicalMapperSettings()
    """For ``use_hierarchical_mapping``."""
    mixture: MixtureSettings = MixtureSettings()
    """For ``use_mixture_decoder``."""
    enhanced_pgat: BaseModelSettings = BaseModelSettings()
    """For ``kind: enhanced_pgat``."""

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
