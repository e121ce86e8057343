"""The verdict of a run in plain words, and how numbers are written. Shared by the page and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass

from model_core.errors import printable
from model_core.evaluation.verdict import (
    DISTRIBUTION,
    HARDLY_MOVES,
    LOWEST_SKILL,
    POINT,
    hardly_moves,
    headline,
    percent,
    skill_words,
)
from model_core.report.evidence import Evidence
from model_core.results.departure import Departure
from model_core.results.findings import Findings, Growth, PerturbationResult
from model_core.results.scores import MODEL, PointErrors, Scores
from model_core.results.shrinkage import FittedShare
from model_core.results.skill import Comparison, Outcome
from model_core.results.training import TrainResults

_TRUE_SKY: dict[Outcome, str] = {
    "better": "The true sky makes the point forecast of this model better than the sky of other days",
    "worse": "The true sky makes the point forecast of this model worse than the sky of other days",
    "no evidence either way": "There is no evidence that the true sky makes the point forecast of this model better or "
    "worse than the sky of other days",
}
_TONES: dict[Outcome, str] = {"better": "good", "worse": "bad"}


def tone(outcome: Outcome) -> str:
    """Which color an outcome has: ``good``, ``bad`` or ``open``."""
    return _TONES.get(outcome, "open")


@dataclass(frozen=True)
class Finding:
    """One of the two things that are judged."""

    headline: str
    """What is judged, and the outcome."""
    tone: str
    """``good``, ``bad`` or ``open``: which color."""
    text: str


@dataclass(frozen=True)
class Takeaways:
    """What a reader who reads nothing else takes away."""

    findings: tuple[Finding, ...]
    """The point forecast, then the distribution if the model forecasts one."""
    model: tuple[str, ...]
    """Whether the model does anything, and a warning where training hardly helped."""
    celestial: str
    """Whether the celestial waves add anything, or that this was not measured."""
    robustness: str
    invariants: str
    failed: tuple[str, ...]
    """Properties that must always hold and do not, each with what was seen."""

    @property
    def headline(self) -> str:
        """All outcomes in a line."""
        return " ".join(finding.headline for finding in self.findings)


def verdict(evidence: Evidence) -> Takeaways:
    """The findings of a run as sentences; every number comes from the artifacts."""
    found = evidence.scores.verdict
    judged = [(POINT, found.outcome, found.text)]
    if found.distribution is not None:
        judged.append((DISTRIBUTION, found.distribution.outcome, found.distribution.text))
    return Takeaways(
        findings=tuple(
            Finding(headline(what, outcome), tone(outcome), text) for what, outcome, text in judged
        ),
        model=tuple(said for said in (found.departure, found.training) if said is not None),
        celestial=_celestial(evidence),
        robustness=_robustness(evidence.findings, smallest_effect(evidence))
        + _insensitive(evidence.scores.departure),
        invariants=_invariants(evidence),
        failed=failed_invariants(evidence.scores, evidence.findings),
    )


def _celestial(evidence: Evidence) -> str:
    findings, kept = evidence.findings, evidence.training.shrinkage
    reads = findings.reads
    if findings.checkpoint.epoch > 0 and kept is not None and kept.shares.means_are_the_base:
        return (
            "No celestial wave reaches the point forecast, since nothing of what was learned of it is kept."
        )
    if findings.checkpoint.epoch == 0:
        return "The untrained model was the best on validation, and no celestial wave reaches its forecasts."
    if reads is not None and not (reads.past_sky or reads.future_sky):
        return "This model reads no celestial waves."
    without = (
        "Whether a model without the celestial waves would forecast as well was not measured in this run."
    )
    measured = evidence.explanation.importance if evidence.explanation else None
    for part in measured.parts if measured else ():
        if (part.group, part.name) == ("days", "all") and part.point.outcome in _TRUE_SKY:
            found = _TRUE_SKY[part.point.outcome]
            return f"{found}: skill {skill_words(part.point)} in squared log error. {without}"
    return without


def _robustness(findings: Findings, effect: float | None) -> str:
    perturbations = findings.perturbations
    decided = [s for s in perturbations if s.fragile is not None]
    fragile = [s.title for s in decided if s.fragile]
    undecided = len(perturbations) - len(decided)
    rest = f" {undecided} more cannot be judged: {_reasons(perturbations)}." if undecided else ""
    if not decided:
        return f"None of {len(perturbations)} perturbations can be judged: {_reasons(perturbations)}."
    if not fragile:
        return (
            f"In none of {len(decided)} perturbations does its error grow beyond chance and by {_more_than(effect)}, "
            f"by itself and beyond a random walk that reads the same.{rest}"
        )
    return (
        f"In {len(fragile)} of {len(decided)} perturbations its error grows beyond chance and by {_more_than(effect)}, "
        f"by itself and beyond a random walk where one reads the same: {', '.join(fragile)}.{rest}"
    )


def _more_than(effect: float | None) -> str:
    return "more than the effect that was asked for" if effect is None else f"more than {percent(effect, 0)}"


def smallest_effect(evidence: Evidence) -> float | None:
    """By how much an error must grow to matter: as the findings say or, in earlier files, their settings."""
    if evidence.findings.smallest_effect is not None:
        return evidence.findings.smallest_effect
    settings = evidence.manifests["diagnose"].settings.get("diagnostics")
    asked = settings.get("smallest_effect") if isinstance(settings, dict) else None
    return asked if isinstance(asked, float) else None


def _insensitive(departure: Departure | None) -> str:
    """That robustness is not a merit of a model that hardly reads its inputs."""
    if departure is None or not hardly_moves(departure):
        return ""
    return (
        f" No input moves its forecast by more than {percent(HARDLY_MOVES, 0)} of the real movement, even if it comes "
        "from another window, so its robustness says little."
    )


def _reasons(perturbations: Sequence[PerturbationResult]) -> str:
    return "; ".join(dict.fromkeys(s.fragile_reason for s in perturbations if s.fragile_reason is not None))


def perturbed_windows(findings: Findings, horizon: int) -> str:
    """How many test windows stand behind each perturbation, and why not all of them."""
    used, available = findings.windows, findings.test_windows
    if available is None or used == available:
        return f"Each row is based on {used} test windows."
    if findings.overlap == 1 and used >= available // horizon:
        reason = f"their {horizon} target days do not overlap, and the windows between them would add little"
    else:
        reason = "a sample of the span, to save time; its size is diagnostics.max_windows"
    return f"Each row is based on {used} of {available} test windows, spread evenly over the span: {reason}."


def _invariants(evidence: Evidence) -> str:
    invariants = evidence.findings.invariants
    failed = [i.name.replace("_", " ") for i in invariants if not i.passed]
    if failed:
        return f"{len(failed)} of {len(invariants)} invariants failed: {', '.join(failed)}."
    return f"All {len(invariants)} invariants hold."


def failed_invariants(scores: Scores, findings: Findings) -> tuple[str, ...]:
    """What must always hold and does not: of the diagnosis, and valid candles."""
    failed = [f"{i.name.replace('_', ' ')}: {i.detail}" for i in findings.invariants if not i.passed]
    share = scores.candles.invalid_share
    if share > 0:
        failed.append(
            f"valid candles: {percent(share, 2)} of the forecast candles have High below or Low above Open or Close"
        )
    return tuple(failed)


def lost_epoch(training: TrainResults) -> str:
    """That a better epoch than the one on the page was lost; empty if none was."""
    if training.lost_best_epoch is None:
        return ""
    return (
        f"Epoch {training.lost_best_epoch} had a lower validation loss, but its weights were lost to damage on the "
        f"disk, so the numbers on this page are those of {training.best_in_words}."
    )


def kept_rows(training: TrainResults) -> list[tuple[str, FittedShare]]:
    """What forecasts keep of what was learned, and what it is called; empty where they keep all."""
    kept = training.shrinkage
    if kept is None:
        return []
    parts = {
        "path of Close": kept.close,
        "candle about Close": kept.candle,
        "width of Close": kept.close_width,
        "widths of the candle": kept.candle_width,
    }
    return [(title, part) for title, part in parts.items() if part is not None]


@dataclass(frozen=True)
class ScoreRow:
    """A line of the score table."""

    name: str
    title: str
    model: bool
    """Whether it is the model itself."""
    best: bool
    """Whether it is the best baseline."""
    price: PointErrors
    log: PointErrors
    skill: Comparison | None
    """Of the model against it."""


def score_rows(scores: Scores) -> list[ScoreRow]:
    """The score table: the model first, then baselines from best to worst, each with the model's skill."""
    rows = [
        ScoreRow(
            name=name,
            title=forecast.title,
            model=name == MODEL,
            best=name == scores.best_baseline,
            price=forecast.metrics.price.overall,
            log=forecast.metrics.log.overall,
            skill=scores.skill_against(name) if name in scores.skill else None,
        )
        for name, forecast in scores.forecasts.items()
    ]
    return sorted(rows, key=lambda row: (not row.model, row.log.mse))


def headline_skill(scores: Scores) -> dict[str, Comparison]:
    """The model's skill in squared log error against each baseline, by its name, best baseline first."""
    return {row.name: row.skill for row in score_rows(scores) if row.skill is not None}


def in_markdown(text: str) -> str:
    """``text`` as Markdown that shows it and nothing else: no tag, no link, no cell of a table begins in it."""
    return printable(text).replace("<", "&lt;").replace("](", "]\\(").replace("|", "\\|")


def within_reach(skill: float) -> float:
    """``skill``, or the end of what is drawn."""
    return min(max(skill, LOWEST_SKILL), -LOWEST_SKILL)


def growth(degradation: Growth) -> str:
    """A degradation ratio: ``× 1.234 [1.200, 1.270]``, without an interval ``× 1.234``, or ``–``."""
    if degradation.ratio is None:
        return "–"
    text = f"× {degradation.ratio:.3f}"
    low, high = degradation.low, degradation.high
    return text if low is None or high is None else f"{text} [{low:.3f}, {high:.3f}]"


def excess(perturbation: PerturbationResult) -> str:
    """Error growth beyond the random walk's: ``+0.123 [+0.100, +0.146]``."""
    if perturbation.excess is None or not perturbation.walk_reads:
        return "–"
    text = f"{perturbation.excess:+.3f}"
    if perturbation.excess_low is not None:
        text += f" [{perturbation.excess_low:+.3f}, {perturbation.excess_high:+.3f}]"
    return text.replace("-", "−")


def number(value: float | None) -> str:
    """Four significant digits, thousands apart, no exponent for everyday sizes."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 1e-4 or value == 0:
        text = "0" if value == 0 else f"{value:#.4g}".removesuffix(".")
    else:
        text = f"{value:.2e}"
    return text.replace("-", "−")
