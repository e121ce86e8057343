"""How honest a forecast distribution is, beside distributions that cost nothing."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from model_core.results.record import Number, Record, Share
from model_core.results.skill import Comparison, need

PIT_BINS = 10


class Calibrated(Record):
    """How honest a forecast distribution of one target is."""

    crps: Number
    """Mean continuous ranked probability score, in log price; smaller is better."""
    coverage: dict[str, Share]
    """Nominal level of a central interval, such as ``90%`` → share of true values inside."""
    pit: Annotated[tuple[Share, ...], Field(strict=False, min_length=PIT_BINS, max_length=PIT_BINS)]
    """Share of true values in each tenth of their forecast distribution; all are 0.1 if it is honest."""


class Calibration(Record):
    """Distributions by target: of the model, if it says one, and of the EWMA random walk."""

    model: dict[str, Calibrated] | None
    """Null for a head that says a point only."""
    ewma_random_walk: dict[str, Calibrated]
    skill: Comparison | None
    """CRPS of Close against the EWMA random walk."""

    @model_validator(mode="after")
    def _has_close(self) -> Self:
        need(("Close",), self.ewma_random_walk, "the calibration of")
        if self.model is not None:
            need(("Close",), self.model, "the calibration of")
        if (self.model is None) != (self.skill is None):
            raise ValueError("a model has a skill exactly if it says a distribution")
        return self
