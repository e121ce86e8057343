"""How honest a forecast distribution is, beside distributions that cost nothing."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from model_core.results.record import Interval, Number, Record, Rows, Share, Words
from model_core.results.skill import Comparison, need

PIT_BINS = 10
JUDGED = "90%"
"""The level of the interval that figures and captions speak of."""


class Calibrated(Record):
    """How honest and how sharp a forecast distribution of one target is; null in files that did not measure it yet."""

    crps: Number
    """Mean continuous ranked probability score, in log price; smaller is better."""
    crps_per_step: Rows[Number] | None = None
    """Of the forecasts of one day ahead, two, …"""
    log_score: Number | None = None
    """Mean −log density at the true value, in nats of the log price; smaller is better. Null also where the market
    never moved, so that the distribution has no width."""
    pinball: dict[str, Number] | None = None
    """Probability of a quantile, such as ``5%`` → mean pinball loss, in log price; smaller is better."""
    coverage: dict[str, Share]
    """Nominal level of a central interval, such as ``90%`` → share of true values inside."""
    coverage_interval: dict[str, Interval] | None = None
    """Confidence interval of that share, by level; its ends are null with too few windows, or where nothing varies."""
    coverage_per_step: dict[str, Rows[Share]] | None = None
    """By level: of the forecasts of one day ahead, two, …"""
    coverage_by_volatility: dict[str, dict[str, Share]] | None = None
    """The same in the ``calm``, ``medium`` and ``wild`` third of the windows, by their recent range."""
    pit: Annotated[tuple[Share, ...], Field(strict=False, min_length=PIT_BINS, max_length=PIT_BINS)]
    """Share of true values in each tenth of their forecast distribution; all are 0.1 if it is honest."""

    @model_validator(mode="after")
    def _every_level(self) -> Self:
        levels = tuple({**self.coverage, JUDGED: None})
        need(levels, self.coverage, "the coverage of level")
        by_level = (self.coverage_interval, self.coverage_per_step)
        for part in (*by_level, *(self.coverage_by_volatility or {}).values()):
            if part is not None:
                need(levels, part, "the coverage of level")
        for steps in (self.crps_per_step, *(self.coverage_per_step or {}).values()):
            if steps is not None and not steps:
                raise ValueError("a measure by forecast day has no day")
        return self


class DistributionScore(Record):
    """A distribution that costs nothing."""

    title: Words
    targets: dict[str, Calibrated]
    """By target; Close is one of them."""

    @model_validator(mode="after")
    def _has_close(self) -> Self:
        need(("Close",), self.targets, "the calibration of")
        return self


class Calibration(Record):
    """Distributions by target: of the model, if it forecasts one, and of the baselines."""

    model: dict[str, Calibrated] | None
    """Null for a head that forecasts a point only."""
    baselines: dict[str, DistributionScore]
    """By name."""
    best_baseline: Words
    """Name of the one with the lowest CRPS of Close on the test windows."""
    left_out: dict[str, Words]
    """Title of a baseline that there is none of here → why."""
    skill: dict[str, dict[str, Comparison]] | None
    """CRPS of the model against every baseline, by its name and by target; null for a head that forecasts a point
    only."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        need((self.best_baseline,), self.baselines, "the distribution")
        if (self.model is None) != (self.skill is None):
            raise ValueError("a model has a skill if and only if it forecasts a distribution")
        if self.model is not None and self.skill is not None:
            need(("Close",), self.model, "the calibration of")
            need((self.best_baseline,), self.skill, "the skill against")
            for name, by_target in self.skill.items():
                need((name,), self.baselines, "the distribution")
                need(("Close",), by_target, "the skill for")
        return self

    @property
    def best(self) -> DistributionScore:
        """The baseline that the model's distribution is compared with first."""
        return self.baselines[self.best_baseline]

    @property
    def headline(self) -> Comparison | None:
        """CRPS of Close against the best baseline; None for a head that forecasts a point only."""
        return None if self.skill is None else self.skill[self.best_baseline]["Close"]
