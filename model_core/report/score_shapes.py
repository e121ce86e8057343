"""What a page needs of ``scores.json``: see ``shapes``."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from model_core.axes import TARGETS
from model_core.evaluation.verdict import HEADLINES
from model_core.report.shapes import Count, Day, Interval, Number, Shape, Words

HEADLINE_BASELINES = ("last_close", "structured_walk")
"""Baselines that every page shows beside the best one."""


class SkillShape(Interval):
    """The model against one baseline."""

    skill: Number | None
    verdict: Words
    minimum_detectable_effect: Number | None


class SkillRow(SkillShape):
    """The same, and what was compared."""

    baseline: Words
    metric: Words
    scale: Words
    target: Words


class Absolute(Shape):
    """A mean absolute error."""

    mae: Number


class StepError(Absolute):
    """The same, so many days ahead."""

    step: Count


class PriceErrors(Absolute):
    """Errors on the price scale."""

    rmse: Number
    mape: Number | None


class LogErrors(Absolute):
    """Errors in log price."""

    mse: Number


class PriceScale(Shape):
    """Overall errors on the price scale."""

    overall: PriceErrors


class LogScale(Shape):
    """Errors in log price: overall, by forecast day and by target."""

    overall: LogErrors
    per_step: list[StepError]
    per_target: dict[str, Absolute]

    @model_validator(mode="after")
    def _all_targets(self) -> Self:
        if not set(TARGETS) <= self.per_target.keys():
            raise ValueError(f"errors of {', '.join(TARGETS)} are needed")
        return self


class OtherScale(Shape):
    """Any other scale is shown as a list of numbers."""

    overall: dict[str, Number | None]


class Metrics(Shape):
    """Errors of one forecast on three scales."""

    price: PriceScale
    log: LogScale
    scaled: OtherScale


class ForecastShape(Shape):
    """One forecast: the model's or a baseline's."""

    title: Words
    role: Words
    metrics: Metrics


class Calibrated(Shape):
    """How well a forecast distribution of one target is calibrated."""

    crps: Number
    coverage: dict[str, Number]
    pit: list[Number] = Field(min_length=10, max_length=10)


class Calibration(Shape):
    """Calibration by target of the model (nothing for a point forecast) and of the EWMA random walk."""

    model: dict[str, Calibrated] | None
    ewma_random_walk: dict[str, Calibrated]
    skill: SkillShape | None = None

    @model_validator(mode="after")
    def _has_close(self) -> Self:
        if "Close" not in self.ewma_random_walk or (self.model and "Close" not in self.model):
            raise ValueError("the calibration of Close is needed")
        if self.model and self.skill is None:
            raise ValueError("a calibrated model has a skill")
        return self


class DirectionTest(Shape):
    """Pesaran and Timmermann's test."""

    p_value: Number | None
    reason: Words | None
    windows: Count


class Direction(Shape):
    """How often the sign of Close's move was right."""

    step: Count
    accuracy: Number | None
    majority_accuracy: Number | None
    pesaran_timmermann: DirectionTest


class Verdict(Shape):
    """The outcome and its sentence."""

    outcome: Words
    text: Words

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.outcome not in HEADLINES:
            raise ValueError(f"the outcome is none of {', '.join(HEADLINES)}")
        return self


class Celestial(Shape):
    """What the celestial waves add."""

    text: Words


class Candles(Shape):
    """Share of forecasts that are no candle."""

    invalid_share: Number


class Checkpoint(Shape):
    """Which epoch was scored."""

    epoch: Count


class Coverage(Shape):
    """How many prices the drawn intervals hold."""

    nominal: Number
    overall: Number


class Scores(Shape):
    """``scores.json``"""

    best_baseline: Words
    calibration: Calibration
    candles: Candles
    celestial: Celestial | None = None
    checkpoint: Checkpoint
    confidence: Number
    confidence_set: list[Words] | None
    confidence_set_reason: Words | None
    direction: list[Direction]
    first_date: Day
    last_date: Day
    forecasts: dict[str, ForecastShape]
    interval_coverage: Coverage | None = None
    pred_len: Annotated[int, Field(ge=1, le=10**6)]
    skill: list[SkillRow]
    verdict: Verdict
    windows: Annotated[int, Field(ge=1, le=10**12)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"model", self.best_baseline, *HEADLINE_BASELINES, *(row.baseline for row in self.skill)}
        if missing := needed - self.forecasts.keys():
            raise ValueError(f"the forecast {sorted(missing)[0]} is missing")
        rows = {
            (r.target, r.metric) for r in self.skill if r.baseline == self.best_baseline and r.scale == "log"
        }
        wanted = {(target, metric) for target in TARGETS for metric in ("mse", "mae")} | {("overall", "mse")}
        if wanted - rows:
            raise ValueError("the skill against the best baseline is missing for a target")
        return self
