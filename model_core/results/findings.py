"""How a model behaves on perturbed inputs, and whether its invariants hold: ``findings.json``."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from model_core.results.record import (
    LARGEST,
    Count,
    Finite,
    Interval,
    JsonObject,
    Record,
    Result,
    Rows,
    Share,
    Words,
)
from model_core.results.scores import PublishedErrors
from model_core.results.training import Checkpoint

Ratio = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


class Growth(Interval):
    """Mean error under a perturbation over the mean clean error."""

    ratio: Ratio | None
    """Null if there is no clean error."""


class GrowthComparison(Record):
    """How much an error grows under a perturbation, beside a random walk that is shown the same."""

    degradation: Growth
    """Of the model."""
    walk_degradation: Growth
    """Of the random walk."""
    walk_reads: bool = True
    """Whether the random walk reads what is perturbed; if not, it is not a comparison, and the model's growth is judged
    alone."""
    excess: Finite | None
    """The model's ratio minus the walk's."""
    excess_low: Finite | None
    """Lower end of its interval."""
    excess_high: Finite | None
    """Upper end."""
    fragile: bool | None
    """Whether the model's error surely grows, and more than that of a walk that reads the same, both by more than
    ``smallest_effect``; null if unknown."""
    fragile_reason: Words | None
    """Why that is unknown."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.fragile is None and self.fragile_reason is None:
            raise ValueError("what cannot be judged needs a reason")
        if (self.excess_low is None) != (self.excess_high is None):
            raise ValueError("an interval has two ends or none")
        return self


class PerturbationResult(GrowthComparison):
    """One perturbation."""

    name: Words
    title: Words
    group: Words
    """``published``, ``noise``, ``data`` or ``attack``."""
    parameters: dict[str, Finite | Words]
    windows: Count
    clean: PublishedErrors
    """Errors in units of the price, on the same windows unperturbed."""
    perturbed: PublishedErrors
    """The same, perturbed."""
    per_target: dict[str, PublishedErrors]
    """Perturbed, by target."""


class Invariant(Record):
    """A property that must always hold, and whether it did."""

    name: Words
    passed: bool
    detail: Words


class SkyRead(Record):
    """Which parts of the sky the model says that it reads."""

    past_sky: bool
    future_sky: bool


class Findings(Result):
    """``findings.json``: every perturbation and every invariant."""

    file: ClassVar[str] = "findings.json"
    step: ClassVar[str] = "diagnose"
    version: ClassVar[int] = 4

    windows: Count
    """Test windows behind each perturbation."""
    test_windows: Count | None = None
    """All there are."""
    overlap: Count | None = None
    """How many neighbors of a window share days with it."""
    confidence: Share
    """Of all intervals."""
    smallest_effect: Finite | None = None
    """A growth of the error that matters, as a share; null in files that did not say it yet."""
    checkpoint: Checkpoint
    reads: SkyRead | None = None
    perturbations: Rows[PerturbationResult]
    left_out: Rows[Words] = ()
    """Perturbations that were asked for and make no sense for this model, with the reason."""
    invariants: Rows[Invariant]

    @model_validator(mode="after")
    def _choice_is_told(self) -> Self:
        if self.test_windows not in (None, self.windows) and self.overlap is None:
            raise ValueError("overlap is missing")
        return self

    @classmethod
    def upgraded(cls, content: JsonObject, version: int) -> JsonObject:
        """Up to version 3 perturbations were called scenarios. In version 2 a walk that reads no sky was the comparator
        of what perturbs the sky alone, in version 1 every perturbation was judged, and nothing said how surely.
        """
        rows = content["scenarios"]
        if not isinstance(rows, list):
            raise TypeError("scenarios is not a list")
        if version < 3:
            new = {"excess_low": None, "excess_high": None, "fragile_reason": None}
            rows = [new | {"walk_reads": row["parameters"].get("mask") != "sky"} | row for row in rows]
        return {name: value for name, value in content.items() if name != "scenarios"} | {
            "perturbations": rows
        }
