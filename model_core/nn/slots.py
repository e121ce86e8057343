"""The slots of the models: the one signature of each, and the bundle that both models share.

A slot always holds a module; an absent part is a module that does nothing, so no ``forward`` asks what is on. A
protocol says what its slot is given and returns; ``model_core.build`` chooses the module, and a test holds every one of
them to its protocol.

Bundles of slots are records, not modules: a model registers the parts of its bundles under the published names that
checkpoints hold, and a module in between would change these.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from model_core.nn.bundles import Baseline, BodyStates, Edges, Forecast


@runtime_checkable
class CelestialProcessor(Protocol):
    """Sky waves (angles raw, the rest scaled) to body states; causal in time."""

    def __call__(self, sky: Float[Tensor, "B S K"]) -> BodyStates: ...


@runtime_checkable
class GraphCombiner(Protocol):
    """All source graphs to one non-negative adjacency whose rows sum to 1."""

    def __call__(
        self, edges: Edges, encoded: Float[Tensor, "B S D"], context: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B S N N"]: ...


@runtime_checkable
class TemporalMapper(Protocol):
    """Adds summaries of coarser time scales to the nodes (or nothing at all)."""

    def __call__(self, nodes: Float[Tensor, "B S N d"]) -> Float[Tensor, "B S N d"]: ...


@runtime_checkable
class SpatioTemporalEncoding(Protocol):
    """Mixes node features along the graph and along time; any S."""

    def __call__(
        self, nodes: Float[Tensor, "B S N d"], adjacency: Float[Tensor, "B S N N"]
    ) -> Float[Tensor, "B S N d"]: ...


@runtime_checkable
class HorizonQueries(Protocol):
    """What is known of the forecast days to the tokens that ask for them."""

    def __call__(
        self, states: Float[Tensor, "B P N C"], calendar: Int[Tensor, "B P F"]
    ) -> Float[Tensor, "B P D"]: ...


@runtime_checkable
class ForecastHead(Protocol):
    """Decoded horizon and the structured random walk to a forecast of valid candles."""

    def __call__(self, decoded: Float[Tensor, "B P D"], baseline: Baseline) -> Forecast: ...

    def at_rest(self, baseline: Baseline) -> Forecast:
        """The same before training, whatever was decoded: the base of every forecast."""
        ...


@dataclass(frozen=True)
class HorizonDecoder:
    """From what a model knows of the window to the forecast."""

    queries: HorizonQueries
    layers: nn.ModuleList
    """``DecoderLayer``; at least one."""
    baseline: nn.Module
    """Known prices and scale → ``Baseline``: where the head starts from."""
    head: ForecastHead
