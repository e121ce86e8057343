"""The named bundles that the model's parts hand to each other; ``model_core.nn.slots`` has the parts' signatures.

Letters are those of ``model_core.axes``. An adjacency ``A[i, j]`` says how much node *i* hears from node *j*.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Reads:
    """Which parts of a window a model looks at, beside prices and calendar, which are always read."""

    past_sky: bool
    """The sky of the known days."""
    future_sky: bool
    """The sky of the horizon, which is known in advance."""


@dataclass(frozen=True)
class BodyStates:
    """What a celestial processor makes of the sky waves: a state per body, an edge per pair."""

    states: Float[Tensor, "B S N C"]
    edges: Float[Tensor, "B S N N"]
    """Strength of each directed pair in [0, 1]."""


@dataclass(frozen=True)
class Proposal:
    """One learner's graph, and what it asks to be added to the loss (already weighted)."""

    values: Float[Tensor, "B S N N"]
    """Edge strengths in [0, 1]; not normalized."""
    penalties: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


@dataclass(frozen=True)
class Edges:
    """All source graphs side by side, each already weighted by the market context."""

    values: Float[Tensor, "B S N N G"]
    names: tuple[str, ...]
    """The G source graphs, e.g. ``("phase", "aspects", "dynamic", "traditional", "data_driven")``."""


@dataclass(frozen=True)
class Baseline:
    """The structured random walk of a batch and its scale: where every head starts from."""

    walk: Float[Tensor, "B P T"]
    """Forecast displacement (log price − anchor) / scale of Open, High, Low, Close."""
    deviation: Float[Tensor, "B P T"]
    """Standard deviation of the true displacement about the walk, for the mixture heads."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals over the scaled displacement of each step; components span the targets."""

    logits: Float[Tensor, "B P M"]
    mean: Float[Tensor, "B P M T"]
    log_scale: Float[Tensor, "B P M T"]


@dataclass(frozen=True)
class Forecast:
    """The model's only output."""

    point: Float[Tensor, "B P T"]
    """Scaled displacement (log price − anchor) / scale; always a valid candle."""
    mixture: Mixture | None = None
    penalties: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Terms that the loss adds as they are, e.g. ``{"graph_kl": …}``."""
    unshrunk: "Forecast | None" = None
    """What the model itself says, where only a share of that is kept (``shrinkage.py``)."""


@dataclass(frozen=True)
class LearnedGraph:
    """What the model looked at, averaged over the known days of each window."""

    adjacency: Float[Tensor, "B N N"]
    """The combined graph: how much each body hears from each other one; rows sum to 1."""
    target_to_body: Float[Tensor, "B T N"]
    """How much Open, High, Low, Close read from each body; rows sum to at most 1."""
    source_weights: Float[Tensor, "B G"]
    """Weight of each source graph; they sum to 1."""
    source_names: tuple[str, ...]
    node_names: tuple[str, ...]
    """The N nodes: the bodies, or latent nodes in a model without a sky."""
    adjacency_of_members: Float[Tensor, "M B N N"] | None = None
    """The graph of each of M members that forecast together."""
