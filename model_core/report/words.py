"""The verdict of a run in plain words, and how numbers are written. Shared by the page and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_core.report.evidence import Evidence

Json = dict[str, Any]
HEADLINE = {
    "better": "The model beats the best trivial forecast.",
    "worse": "The model is worse than the best trivial forecast.",
    "no evidence either way": "No evidence that the model differs from the best trivial forecast.",
}
TONE = {"better": "good", "worse": "bad", "no evidence either way": "open"}


@dataclass(frozen=True)
class Verdict:
    """What a reader takes away if he reads nothing else."""

    headline: str
    tone: str
    """``good``, ``bad`` or ``open``: which colour."""
    text: str
    celestial: str
    """Whether the celestial waves add anything, or that this was not measured."""
    robustness: str
    invariants: str


def verdict(evidence: Evidence) -> Verdict:
    """The findings of a run as sentences; every number comes from the artifacts."""
    outcome = evidence.scores["verdict"]["outcome"]
    return Verdict(
        headline=HEADLINE[outcome],
        tone=TONE[outcome],
        text=evidence.scores["verdict"]["text"],
        celestial=_celestial(evidence),
        robustness=_robustness(evidence.findings["scenarios"]),
        invariants=_invariants(evidence.findings["invariants"]),
    )


def _celestial(evidence: Evidence) -> str:
    measured = evidence.scores.get("celestial")
    if measured is None:
        return "Whether the celestial waves add anything was not measured in this run."
    return str(measured["text"])


def _robustness(scenarios: Sequence[Json]) -> str:
    fragile = [s["title"] for s in scenarios if s["fragile"]]
    if not fragile:
        return f"In none of {len(scenarios)} disturbances does its error grow more than a random walk's own."
    return (
        f"In {len(fragile)} of {len(scenarios)} disturbances its error grows more than a random walk's own: "
        f"{', '.join(fragile)}."
    )


def _invariants(invariants: Sequence[Json]) -> str:
    failed = [i["name"].replace("_", " ") for i in invariants if not i["passed"]]
    if failed:
        return f"{len(failed)} of {len(invariants)} invariants failed: {', '.join(failed)}."
    return f"All {len(invariants)} invariants hold."


def score_rows(scores: Json) -> list[Json]:
    """The score table: the model first, then baselines from best to worst, each with the model's skill."""
    skill = {r["baseline"]: r for r in headline_skill(scores)}
    loss = {name: f["metrics"]["log"]["overall"]["mse"] for name, f in scores["forecasts"].items()}
    order = sorted(loss, key=lambda name: (scores["forecasts"][name]["role"] != "model", loss[name]))
    return [
        {
            "name": name,
            "title": scores["forecasts"][name]["title"],
            "model": scores["forecasts"][name]["role"] == "model",
            "best": name == scores["best_baseline"],
            "price": scores["forecasts"][name]["metrics"]["price"]["overall"],
            "log": scores["forecasts"][name]["metrics"]["log"]["overall"],
            "skill": skill.get(name),
        }
        for name in order
    ]


def headline_skill(scores: Json, target: str = "overall") -> list[Json]:
    """Skill in squared log error against each baseline, for one target or overall."""
    return [r for r in scores["skill"] if (r["metric"], r["scale"], r["target"]) == ("mse", "log", target)]


def percent(value: float | None, digits: int = 1) -> str:
    """0.0123 → ``1.2 %``."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def signed(value: float) -> str:
    """0.0123 → ``+1.2 %``, with a real minus sign."""
    return f"{100 * value:+.1f} %".replace("-", "−")


def skill_words(row: Json | None) -> str:
    """``+1.2 % [−0.3, +2.5]``"""
    if row is None:
        return "–"
    low, high = (f"{100 * row[k]:+.1f}".replace("-", "−") for k in ("low", "high"))
    return f"{signed(row['skill'])} [{low}, {high}]"


def number(value: float | None) -> str:
    """Four significant digits, thousands apart, no exponent for everyday sizes."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 1e-4 or value == 0:
        return f"{value:.4g}"
    return f"{value:.2e}"


def duration(seconds: float) -> str:
    """95 → ``1 min 35 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
