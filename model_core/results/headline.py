"""What a list of runs says of one: both skills with their intervals, on which windows, and what was found."""

from pydantic import AliasChoices, Field

from model_core.results.findings import Findings
from model_core.results.quality import Quality
from model_core.results.record import Count, Day, Number, Record, Rows, Share, Words
from model_core.results.scores import MODEL, Scores
from model_core.results.skill import Outcome, SkillInterval


class Headline(Record):
    """The results of a run that ended, as its record has them."""

    windows: Count
    """Test windows."""
    first_date: Day
    """First target date."""
    last_date: Day
    """Last target date."""
    pred_len: Count
    """Trading days ahead."""
    confidence: Share
    """Of all intervals."""
    mae_log: Number
    """Of the model on the test windows, in log price."""
    best_baseline: Words
    """Title of the baseline with the lowest squared log error."""
    outcome: Outcome
    """Of the point forecast against it."""
    skill: SkillInterval
    """Of the point forecast, in squared log error."""
    best_distribution: Words | None
    """Title of the best free distribution of Close; null for a head that forecasts a point only."""
    crps_outcome: Outcome | None
    crps_skill: SkillInterval | None
    """Of the distribution of Close, in CRPS."""
    fragile: Rows[Words]
    """Titles of the perturbations that hurt the model more than a random walk."""
    perturbations: Count = Field(validation_alias=AliasChoices("perturbations", "disturbances"))
    """That were tried."""
    broken: Rows[Words]
    """Names of the invariants that did not hold."""
    source_sha256: Words
    """Of the market table; two runs with the same one learned from the same data."""


def headline_of(scores: Scores, findings: Findings, quality: Quality) -> Headline:
    """The headline of what three steps found."""
    distribution = scores.calibration.headline
    best = None if distribution is None else scores.calibration.best.title
    return Headline(
        windows=scores.windows,
        first_date=scores.first_date,
        last_date=scores.last_date,
        pred_len=scores.pred_len,
        confidence=scores.confidence,
        mae_log=scores.forecasts[MODEL].metrics.log.overall.mae,
        best_baseline=scores.forecasts[scores.best_baseline].title,
        outcome=scores.headline.outcome,
        skill=_interval(scores.headline),
        best_distribution=best,
        crps_outcome=None if distribution is None else distribution.outcome,
        crps_skill=None if distribution is None else _interval(distribution),
        fragile=tuple(perturbation.title for perturbation in findings.perturbations if perturbation.fragile),
        perturbations=len(findings.perturbations),
        broken=tuple(invariant.name for invariant in findings.invariants if not invariant.passed),
        source_sha256=quality.source.sha256,
    )


def _interval(row: SkillInterval) -> SkillInterval:
    return SkillInterval(skill=row.skill, low=row.low, high=row.high)
