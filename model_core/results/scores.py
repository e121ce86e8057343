"""What a forecast is worth, beside what costs nothing: ``scores.json``."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from model_core.axes import TARGETS
from model_core.results.calibration import Calibration
from model_core.results.departure import Departure
from model_core.results.record import (
    LARGEST,
    Count,
    Day,
    Finite,
    JsonObject,
    Number,
    Record,
    Result,
    Rows,
    Share,
    Words,
)
from model_core.results.regimes import Regimes
from model_core.results.skill import Comparison, Outcome, need
from model_core.results.training import Checkpoint

IntervalKind = Literal["mixture", "conformal"]
MODEL = "model"
"""Name of the model among the forecasts; all others are baselines."""
OVERALL = "overall"
"""Stands beside the targets for all of them together."""


class PublishedErrors(Record):
    """The five point metrics that the project has always published."""

    mae: Finite
    mse: Finite
    rmse: Finite
    mape: Finite | None
    """A share, not percent; null where a true value is 0, and on the log scale, where it would flatter."""
    mspe: Finite | None
    """Likewise."""


class PointErrors(PublishedErrors):
    """Those five and two that compare across series."""

    smape: Finite | None
    """A share; null as ``mape``."""
    mase: Finite | None
    """Over the mean one-day change of Close on the train span; null where that is 0 or has another unit."""


class StepErrors(PointErrors):
    """Errors of the forecasts of one day ahead."""

    step: Count
    """Trading days ahead, from 1."""


class ScaleErrors(Record):
    """Errors on one scale: of everything, by target, and by forecast day."""

    overall: PointErrors
    per_target: dict[str, PointErrors]
    per_step: Rows[StepErrors]

    @model_validator(mode="after")
    def _all_targets(self) -> Self:
        need(TARGETS, self.per_target, "errors of")
        return self


class Metrics(Record):
    """Errors of one forecast on three scales."""

    log: ScaleErrors
    """In log price."""
    price: ScaleErrors
    """In units of the price."""
    scaled: ScaleErrors
    """Displacements from the anchor, in units of the window's recent range."""

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        parts = (self.log.overall, *self.log.per_target.values(), *self.log.per_step)
        if any(errors.mae > LARGEST for errors in parts):
            raise ValueError(f"an error in log price is larger than {LARGEST:g}")
        return self


class ForecastScore(Record):
    """One forecast: the model's or a baseline's."""

    title: Words
    role: Literal["model", "baseline"]
    metrics: Metrics


class BaselineSkill(Record):
    """The model's skill against one baseline, by target and ``overall``."""

    squared_log_error: dict[str, Comparison]
    """What verdicts are about: the loss that training minimizes."""
    absolute_log_error: dict[str, Comparison]

    @model_validator(mode="after")
    def _all_targets(self) -> Self:
        for rows in (self.squared_log_error, self.absolute_log_error):
            need((OVERALL, *TARGETS), rows, "the skill for")
        return self


class Judgment(Record):
    """What a comparison with the best baseline shows."""

    outcome: Outcome
    reason: Words | None
    """Why there is no verdict."""
    baseline: Words
    """Name of the best baseline."""
    text: Words
    """The outcome in plain words."""


class Verdict(Judgment):
    """The point forecast over all targets and days, in squared log error; beside it what else is to be said."""

    close_outcome: Outcome
    """Of Close alone, against the last Close."""
    distribution: Judgment | None = None
    """Of Close, in CRPS; null for a head that forecasts a point only, and in files that did not say it yet."""
    departure: Words | None = None
    """Whether the model does anything, in a sentence; null in files that did not say it yet."""
    training: Words | None = None
    """That no epoch, or none but the first, made validation better; null if one did."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is to be said, in order."""
        distribution = None if self.distribution is None else self.distribution.text
        said = (self.text, distribution, self.departure, self.training)
        return tuple(sentence for sentence in said if sentence is not None)


class DirectionTest(Record):
    """Pesaran and Timmermann's test; small p-values speak for skill."""

    windows: Count
    """Windows that share no day."""
    statistic: Finite | None
    p_value: Finite | None
    """One-sided."""
    reason: Words | None
    """Why there is no test."""


class Direction(Record):
    """How often the sign of the move of Close was right."""

    target: Words
    step: Count
    """Trading days ahead."""
    accuracy: Share
    majority_accuracy: Share
    """Of always naming the commoner sign."""
    share_up: Share
    share_forecast_up: Share
    pesaran_timmermann: DirectionTest


class Coverage(Record):
    """How many true prices the 90 % intervals of ``predictions.parquet`` hold."""

    kind: IntervalKind
    """Quantiles of the model's own distribution, or of its validation errors."""
    nominal: Share
    overall: Share
    per_target: dict[str, Share]


class Candles(Record):
    """Share of forecast candles whose High or Low does not enclose Open and Close; 0 by construction."""

    invalid_share: Share


class WalkChoice(Record):
    """Which variant of the structured random walk was best on validation."""

    variant: Literal["har", "range", "geometry", "drift"]
    """``drift`` stands in files from before there was ``har``."""
    drift_share: Share | None = None
    """Of the drift of the train span; null in those files, which kept all of it."""
    validation_mae: dict[str, Finite]
    """In log price, by variant."""
    validation_candle_rmse: dict[str, Finite] | None = None
    """Of Open, High, Low less Close, by variant: what it is chosen by. Null in files whose variant was chosen by the
    other error."""


class Unshrunk(Record):
    """What the model itself would have scored, where forecasts keep only a share of what it learned."""

    skill: Comparison
    """Against the best baseline, in squared log error of all targets."""
    gain: Comparison
    """Skill of the forecasts against it, in squared log error of all targets: what shrinking brought."""
    close_crps: Number | None
    """Of Close, in log price; null for a head that forecasts a point only."""
    close_crps_gain: Comparison | None
    """Skill of the forecasts against it, in CRPS of Close."""


class Scores(Result):
    """``scores.json``: every metric, every baseline, how sure, and a verdict."""

    file: ClassVar[str] = "scores.json"
    step: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 7

    windows: Annotated[int, Field(ge=1, le=10**12)]
    """Test windows; each of them was scored once."""
    first_date: Day
    """First target date."""
    last_date: Day
    """Last target date."""
    pred_len: Annotated[int, Field(ge=1, le=10**6)]
    """Trading days ahead."""
    confidence: Share
    """Of all intervals."""
    checkpoint: Checkpoint
    forecasts: dict[str, ForecastScore]
    """By name: ``model`` and every baseline."""
    best_baseline: Words
    """Name of the baseline with the lowest squared log error on the test windows."""
    structured_walk: WalkChoice
    skill: dict[str, BaselineSkill]
    """By name of the baseline."""
    verdict: Verdict
    confidence_set: Rows[Words] | None
    """Names of the forecasts that may each be the best of all; null if none can be named."""
    confidence_set_reason: Words | None
    direction: Rows[Direction]
    calibration: Calibration
    candles: Candles
    interval_coverage: Coverage
    departure: Departure | None = None
    """Null in files that did not measure it yet."""
    unshrunk: Unshrunk | None = None
    """Null where forecasts keep all that the model learned (``training.shrinkage``)."""
    regimes: Regimes | None = None
    """Skill by year and by volatility; null in files that did not measure it yet."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        baselines = self.forecasts.keys() - {MODEL}
        need((MODEL, self.best_baseline), self.forecasts, "the forecast")
        need(("last_close", "structured_walk", *baselines), self.skill, "the skill against")
        need((*self.skill, *(self.confidence_set or ())), self.forecasts, "the forecast")
        return self

    @property
    def headline(self) -> Comparison:
        """Against the best baseline, over all targets: what the verdict is about."""
        return self.skill_against(self.best_baseline)

    def skill_against(self, baseline: str, target: str = OVERALL) -> Comparison:
        """In squared log error."""
        return self.skill[baseline].squared_log_error[target]

    @classmethod
    def upgraded(cls, content: JsonObject, version: int) -> JsonObject:
        """Up to version 6 there was one skill for the whole test span, up to version 5 forecasts kept all that a model
        had learned, version 4 did not say whether the model does anything, up to version 3 one distribution stood
        beside the model's, and versions 1 and 2 listed skills row by row.
        """
        from model_core.results.earlier_scores import upgraded_scores

        return upgraded_scores(content, version)
