"""Settings to model: the only module that reads a switch or a ``kind`` of the model settings."""

from torch import nn

from model_core.axes import FIRST_SKY
from model_core.base_model import EnhancedPGAT, PathEncoder, PathGraphBuilder, WaveReader
from model_core.config.model import NUM_BODIES, ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import SettingsError
from model_core.model import CelestialEnhancedPGAT, GraphBuilder, NodeEncoder, SkyEncoder, WindowReader
from model_core.nn.baseline import EwmaScale, RangeScale, StructuredWalkBaseline
from model_core.nn.bundles import Reads
from model_core.nn.celestial.aspects import AspectEdges, PhaseGraph
from model_core.nn.celestial.body_nodes import CelestialBodyNodes, GatedBodyReader, LatentNodes
from model_core.nn.celestial.processor import NoSky, PhaseAwareCelestialProcessor, UngroupedProcessor
from model_core.nn.celestial.wave_aggregator import CelestialWaveAggregator
from model_core.nn.covariates import EfficientCovariateInteraction, FullInteraction, TargetNodes
from model_core.nn.decoder_layer import DecoderLayer
from model_core.nn.embedding import (
    CalendarQueries,
    DataEmbedding,
    KnownFutureQueries,
    KnownFutureSky,
    UnknownFutureSky,
)
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from model_core.nn.graph.combiners.gated import GatedGraphCombiner
from model_core.nn.graph.combiners.sequential import SequentialCelestialGraphCombiner
from model_core.nn.graph.edges import EdgeSources
from model_core.nn.graph.learners.data_driven import DataDrivenLearner
from model_core.nn.graph.learners.dynamic import DynamicAdjacency
from model_core.nn.graph.learners.stochastic import StochasticGraphLearner
from model_core.nn.graph.learners.traditional import TraditionalLearner
from model_core.nn.graph.regularization import GraphRegularization, NoGraphRegularization
from model_core.nn.heads.mixture import MixtureDensityDecoder
from model_core.nn.heads.point import PointHead
from model_core.nn.heads.sequential_mixture import SequentialMixtureDensityDecoder
from model_core.nn.market_context import MarketContextEncoder
from model_core.nn.recomputation import RunPolicy, activation_checkpoint, direct
from model_core.nn.slots import ForecastHead, HorizonDecoder
from model_core.nn.temporal.dynamic import DynamicSpatioTemporalEncoding
from model_core.nn.temporal.hierarchical import HierarchicalTemporalSpatialMapper
from model_core.nn.temporal.joint import JointSpatioTemporalEncoding, NoTemporalMapper

Model = CelestialEnhancedPGAT | EnhancedPGAT
"""Whatever ``build_model`` makes."""


def build_model(settings: ModelSettings, inputs: ModelInputs) -> Model:
    """The model that ``settings`` describe, for windows as ``inputs`` describe them.

    Its ``forward(window)`` returns a ``Forecast``, its ``explain(window)`` a ``LearnedGraph``, and its
    ``reads`` says which parts of a window reach them.

    Raises:
        SettingsError: the settings do not fit the dataset, or leave the model without a graph.
    """
    _check(settings, inputs)
    match settings.kind:
        case "celestial_enhanced_pgat":
            return _celestial(settings, inputs)
        case "enhanced_pgat":
            return _base(settings, inputs)


def parameters_by_part(model: nn.Module) -> dict[str, int]:
    """Number of parameters of each direct part of the model, largest first."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    counts["(own)"] = sum(p.numel() for p in model.parameters(recurse=False))
    return {name: n for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n}


def _check(settings: ModelSettings, inputs: ModelInputs) -> None:
    if settings.num_input_waves != len(inputs.waves):
        raise SettingsError(
            f"model.num_input_waves is {settings.num_input_waves}, but the dataset has {len(inputs.waves)} "
            f"waves; set it to {len(inputs.waves)}",
            keys=["model.num_input_waves"],
        )
    if settings.target_wave_indices != (0, 1, 2, 3):
        raise SettingsError(
            f"model.target_wave_indices is {list(settings.target_wave_indices)}, but a prepared dataset "
            "holds log Open, High, Low and Close in columns [0, 1, 2, 3]; set it to those",
            keys=["model.target_wave_indices"],
        )
    if {len(inputs.walk_a), *map(len, inputs.scale_c)} != {inputs.window.pred_len}:
        raise SettingsError(
            f"the structured walk has {len(inputs.walk_a)} steps, but data.window.pred_len is "
            f"{inputs.window.pred_len}; prepare the dataset again",
            keys=["data.window.pred_len"],
        )


def _celestial(settings: ModelSettings, inputs: ModelInputs) -> CelestialEnhancedPGAT:
    width, node_width = settings.width, settings.width // NUM_BODIES
    body_width = settings.celestial_dim if settings.use_celestial_graph else 0
    encoding = {"dynamic": DynamicSpatioTemporalEncoding, "joint": JointSpatioTemporalEncoding}
    sees_future = settings.use_future_sky and settings.use_celestial_graph
    run = activation_checkpoint if settings.gradient_checkpointing else direct
    # Parts draw their weights in the order in which they are built: another one would be another model for each seed.
    sources = _edge_sources(settings, inputs)
    return CelestialEnhancedPGAT(
        sky=SkyEncoder(
            future_sky=KnownFutureSky() if sees_future else UnknownFutureSky(),
            processor=_processor(settings, inputs),
        ),
        reader=WindowReader(
            embedding=DataEmbedding(FIRST_SKY + NUM_BODIES * body_width, width, settings.dropout),
            market_context=MarketContextEncoder(width, settings.n_heads),
            body_nodes=CelestialBodyNodes(body_width, node_width) if body_width else LatentNodes(node_width),
            body_reader=GatedBodyReader(width, node_width, settings.n_heads),
        ),
        graph=GraphBuilder(
            edge_sources=sources,
            combiner=_combiner(settings, len(sources.names)),
            penalties=_graph_penalties(settings),
        ),
        encoder=NodeEncoder(
            mapper=_mapper(settings),
            encoding=encoding[settings.encoding.kind](node_width, settings.dropout, settings.encoding),
            target_nodes=TargetNodes(node_width),
            interaction=_interaction(settings, run),
        ),
        horizon=_horizon(settings, inputs, NUM_BODIES * body_width if sees_future else None),
        width=width,
        label_len=inputs.window.label_len,
        run=run,
        reads=Reads(past_sky=settings.use_celestial_graph, future_sky=sees_future),
    )


def _base(settings: ModelSettings, inputs: ModelInputs) -> EnhancedPGAT:
    """The base model.

    Raises:
        SettingsError: a part is switched on that only the celestial model has.
    """
    absent = {
        "use_stochastic_learner": settings.use_stochastic_learner,
        "use_hierarchical_mapping": settings.use_hierarchical_mapping,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "graph.sparsity_weight": settings.graph.sparsity_weight > 0,
        "graph.smoothness_weight": settings.graph.smoothness_weight > 0,
    }
    for name in (name for name, is_on in absent.items() if is_on):
        raise SettingsError(
            f"model.{name} is on, but kind: enhanced_pgat has no such part; switch it off, or set "
            "model.kind: celestial_enhanced_pgat",
            keys=[f"model.{name}"],
        )
    longest = max(settings.enhanced_pgat.influence_lags)
    if longest > inputs.window.seq_len - 2:
        raise SettingsError(
            f"model.enhanced_pgat.influence_lags holds {longest}, but a window of {inputs.window.seq_len} days "
            f"(data.window.seq_len) has changes at most {inputs.window.seq_len - 2} days apart; leave it out",
            keys=["model.enhanced_pgat.influence_lags"],
        )
    own, width, sky = settings.enhanced_pgat, settings.width, len(inputs.waves) - FIRST_SKY
    # Parts draw their weights in the order in which they are built, and here the decoder comes first.
    horizon = _horizon(settings, inputs, sky if settings.use_future_sky else None)
    return EnhancedPGAT(
        waves=WaveReader.of(own, inputs, width),
        graph=PathGraphBuilder.of(own, settings.combiner, len(inputs.waves), width),
        encoder=PathEncoder.of(own, width, settings.e_layers, settings.d_ff, settings.dropout),
        horizon=horizon,
        width=width,
        reads=Reads(past_sky=True, future_sky=settings.use_future_sky),
    )


def _horizon(settings: ModelSettings, inputs: ModelInputs, future_features: int | None) -> HorizonDecoder:
    """Queries, decoder layers, baseline and head, in either model.

    Args:
        future_features: numbers known of the sky of a forecast day; ``None`` if it is not read.
    """
    width, node_width = settings.width, settings.width // NUM_BODIES
    causal = settings.use_mixture_decoder and settings.mixture.kind == "sequential_mixture"
    return HorizonDecoder(
        queries=(
            CalendarQueries(width) if future_features is None else KnownFutureQueries(future_features, width)
        ),
        layers=nn.ModuleList(
            DecoderLayer(width, node_width, settings.n_heads, settings.d_ff, settings.dropout, causal)
            for _ in range(settings.d_layers)
        ),
        baseline=StructuredWalkBaseline(inputs, _base_scale(settings, inputs)),
        head=_head(settings),
    )


def _base_scale(settings: ModelSettings, inputs: ModelInputs) -> nn.Module:
    match settings.mixture.base_scale:
        case "har":
            return RangeScale(inputs)
        case "ewma":
            return EwmaScale(inputs.window.pred_len)


def _processor(settings: ModelSettings, inputs: ModelInputs) -> nn.Module:
    if not settings.use_celestial_graph:
        return NoSky()
    if not settings.aggregate_waves_to_celestial:
        return UngroupedProcessor(len(inputs.waves) - FIRST_SKY, settings.celestial_dim)
    match settings.celestial_processor.kind:
        case "phase_aware":
            return PhaseAwareCelestialProcessor(inputs, settings.celestial_dim, settings.celestial_processor)
        case "aggregate":
            return CelestialWaveAggregator(inputs, settings.celestial_dim)


def _edge_sources(settings: ModelSettings, inputs: ModelInputs) -> EdgeSources:
    """The graphs that the settings ask for, in a fixed order.

    Raises:
        SettingsError: every one of them is off.
    """
    graph, width, node_width = settings.graph, settings.width, settings.width // NUM_BODIES
    sky_graphs: dict[str, nn.Module] = {}
    if settings.use_celestial_graph and graph.use_phase_edges:
        sky_graphs["phase"] = PhaseGraph()
    if settings.use_celestial_graph and graph.use_aspects:
        sky_graphs["aspects"] = AspectEdges(inputs)
    learners: dict[str, nn.Module] = {}
    if graph.use_dynamic:
        learners["dynamic"] = DynamicAdjacency(node_width)
    if graph.use_traditional:
        learners["traditional"] = TraditionalLearner(width, graph.traditional)
    if graph.use_data_driven:
        learners["data_driven"] = DataDrivenLearner(node_width, graph.data_driven)
    if settings.use_stochastic_learner:
        learners["stochastic"] = StochasticGraphLearner(width, graph.stochastic)
    if not sky_graphs and not learners:
        raise SettingsError(
            "the model has no source graph; switch on at least one of model.graph.use_…", keys=["model.graph"]
        )
    return EdgeSources(width, sky_graphs, learners)


def _combiner(settings: ModelSettings, sources: int) -> nn.Module:
    width, layers = settings.width, settings.celestial_fusion_layers
    match settings.combiner.kind:
        case "batched":
            return CelestialGraphCombiner(sources, width, layers, settings.combiner)
        case "sequential":
            return SequentialCelestialGraphCombiner(sources, width, layers, settings.combiner)
        case "gated":
            return GatedGraphCombiner(sources, width, settings.combiner)


def _graph_penalties(settings: ModelSettings) -> nn.Module:
    if settings.graph.sparsity_weight == settings.graph.smoothness_weight == 0:
        return NoGraphRegularization()
    return GraphRegularization(settings.graph)


def _interaction(settings: ModelSettings, run: RunPolicy) -> EfficientCovariateInteraction | FullInteraction:
    kind = EfficientCovariateInteraction if settings.use_efficient_covariate_interaction else FullInteraction
    node_width = settings.width // NUM_BODIES
    return kind(node_width, settings.n_heads, settings.e_layers, settings.d_ff, settings.dropout, run)


def _mapper(settings: ModelSettings) -> nn.Module:
    if not settings.use_hierarchical_mapping:
        return NoTemporalMapper()
    return HierarchicalTemporalSpatialMapper(settings.width, settings.hierarchical_mapper)


def _head(settings: ModelSettings) -> ForecastHead:
    if not settings.use_mixture_decoder:
        return PointHead(settings.width)
    match settings.mixture.kind:
        case "mixture":
            return MixtureDensityDecoder(settings.width, settings.mixture)
        case "sequential_mixture":
            return SequentialMixtureDensityDecoder(settings.width, settings.mixture)
