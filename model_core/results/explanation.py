"""What a model looked at: ``explanation.json``."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from model_core.axes import TARGETS
from model_core.results.importance import SkyImportance
from model_core.results.record import Count, Number, Result, Rows, Words
from model_core.sky.bodies import BODIES


class Explanation(Result):
    """``explanation.json``: the learned graph and what the targets read from its nodes; means over test windows."""

    file: ClassVar[str] = "explanation.json"
    step: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 2

    bodies: Rows[Words] = tuple(BODIES)
    """Names of the nodes."""
    adjacency: Rows[Rows[Number]]
    """A row a node: how much it hears from each other one; rows sum to 1."""
    target_to_body: Rows[Rows[Number]]
    """A row a target: what it reads from each node."""
    source_weights: dict[str, Number] = Field(default_factory=dict)
    """Weight of each source graph; they sum to 1."""
    adjacency_spread: Rows[Rows[Number]] | None = None
    """Of each weight of the graph: its standard deviation over members, which learned from other seeds; null for one
    member."""
    windows: Count | None = None
    """How many the means are over."""
    importance: SkyImportance | None = None
    """What the waves of the sky are worth; null for a model that reads none, or where it was not asked for."""

    @model_validator(mode="after")
    def _matrices(self) -> Self:
        size = len(self.bodies)
        spread = self.adjacency if self.adjacency_spread is None else self.adjacency_spread
        for rows, matrix in ((size, self.adjacency), (size, spread), (len(TARGETS), self.target_to_body)):
            if not 0 < size <= 100 or [len(row) for row in matrix] != [size] * rows:
                raise ValueError("its matrices do not have one row and column for each body")
        return self
