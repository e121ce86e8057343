"""The review page of a run: one HTML file that needs nothing else, and the same in a few lines of Markdown."""

import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources

import numpy as np
import yaml
from jinja2 import Environment, StrictUndefined

from model_core.axes import TARGETS
from model_core.config.run import ReportSettings
from model_core.evaluation.verdict import (
    close_text,
    correlation_words,
    percent,
    share_words,
    signed,
    skill_words,
)
from model_core.progress import duration
from model_core.publishing.policy import CONTENT_POLICY
from model_core.report import captions, figures, phrases, sections
from model_core.report.departures import departure_figure
from model_core.report.drawing import Picture, picture
from model_core.report.evidence import Evidence
from model_core.report.examples import examples
from model_core.report.header import (
    facts_of,
    outside_range,
    split_span,
    tiles_of,
    trained_on,
    training_seconds,
)
from model_core.report.sky_worth import importance_of, worth_comparisons, worth_section
from model_core.results.findings import Findings, PerturbationResult
from model_core.results.scores import MODEL
from model_core.store.names import published_name

HEADLINE_BASELINES = ("last_close", "structured_walk")
"""Baselines that every page shows beside the best one."""


def render_page(evidence: Evidence, settings: ReportSettings, run_name: str) -> str:
    """The page as HTML; same evidence, same bytes."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": phrases.number,
        "percent": percent,
        "signed": signed,
        "skill": skill_words,
        "share": share_words,
        "correlation": correlation_words,
        "duration": duration,
        "growth": phrases.growth,
        "excess": phrases.excess,
        "tone": phrases.tone,
    }
    template = resources.files("model_core.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(template).render(context(evidence, settings, run_name))
    # A number is not parted from its unit, nor an interval in its middle.
    page = re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", page)
    return re.sub(r"(\[[+−]?[\d.]+,) (?=[+−]?[\d.]+\])", "\\1\N{NO-BREAK SPACE}", page) + "\n"


def render_summary(evidence: Evidence, run_name: str) -> str:
    """The verdict and the main table in Markdown."""
    found, shown = phrases.verdict(evidence), phrases.in_markdown
    lines = [f"# {run_name}: {shown(found.headline)}", ""]
    for failed in found.failed:
        lines += [f"**INVARIANT FAILED** – {shown(failed)}", ""]
    for said in (*(finding.text for finding in found.findings), *found.model, found.celestial):
        lines += [shown(said), ""]
    lines += [shown(f"{found.robustness} {found.invariants}"), ""]
    lines += [shown(captions.decision_rule(evidence.scores.confidence)), ""]
    lines += [shown(_base(evidence)), ""]
    lines += ["| measure | value |", "|---|---:|"]
    for tile in tiles_of(evidence):
        lines.append(f"| {shown(tile['title'])}, {shown(tile['note'])} | {shown(tile['value'])} |")
    lines.append("")
    lines += ["| forecast | MAE, price | RMSE, price | MAE, log | skill of the model against it |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for row in phrases.score_rows(evidence.scores):
        title = f"**{shown(row.title)}**" if row.model else shown(row.title)
        cells = [phrases.number(row.price.mae), phrases.number(row.price.rmse)]
        cells += [f"{row.log.mae:.5f}", skill_words(row.skill)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    scores = evidence.scores
    lines += [
        "",
        f"{scores.windows} test windows of {scores.pred_len} days, {shown(str(scores.first_date))} … "
        f"{shown(str(scores.last_date))}; best checkpoint: {scores.checkpoint.in_words}. "
        "Skill in the table is in squared log error.",
    ]
    return "\n".join(lines) + "\n"


def context(evidence: Evidence, settings: ReportSettings, run_name: str) -> dict[str, object]:
    """Everything the template names."""
    scores = evidence.scores
    names = [MODEL, *dict.fromkeys([scores.best_baseline, *HEADLINE_BASELINES])]
    titles = {name: forecast.title for name, forecast in scores.forecasts.items()}
    skills = phrases.headline_skill(scores)
    return {
        "content_policy": CONTENT_POLICY,
        "title": settings.title,
        "run_name": run_name,
        "targets": TARGETS,
        "verdict": phrases.verdict(evidence),
        "rule": captions.decision_rule(scores.confidence),
        "base": _base(evidence),
        "facts": facts_of(evidence),
        "tiles": tiles_of(evidence),
        "scores": scores,
        "rows": phrases.score_rows(scores),
        "best_title": titles[scores.best_baseline],
        "best_skill": scores.headline,
        "close_text": close_text(scores.skill_against("last_close", "Close")),
        "target_skill": scores.skill[scores.best_baseline],
        "departure": scores.departure,
        "departure_svg": picture(lambda: departure_figure(evidence.predictions))
        if scores.departure
        else None,
        "skill_svg": picture(lambda: figures.skill_figure(skills, titles)),
        "skill_caption": captions.skill_caption(skills, scores.confidence),
        "horizon_svg": picture(lambda: figures.horizon_figure(scores.forecasts, names)),
        "horizon_caption": captions.horizon_caption(scores.forecasts[MODEL]),
        "target_svg": picture(lambda: figures.target_figure(scores.forecasts, names)),
        "target_caption": captions.target_caption(scores.forecasts[MODEL]),
        "examples": examples(evidence, settings.example_windows),
        "time": sections.time_section(evidence),
        "calibration": sections.calibration_section(evidence),
        "training": evidence.training,
        "trained_on": trained_on(evidence),
        "training_seconds": training_seconds(evidence.training),
        "kept": phrases.kept_rows(evidence.training),
        "lost_epoch": phrases.lost_epoch(evidence.training),
        "training_svg": picture(lambda: figures.training_figure(evidence.history, evidence.training)),
        "loss_name": figures.loss_name(evidence.history),
        "findings": evidence.findings,
        "perturbed_windows": phrases.perturbed_windows(evidence.findings, scores.pred_len),
        "robustness_svgs": _robustness(evidence.findings),
        "robustness_caption": captions.robustness_caption(
            evidence.findings, phrases.smallest_effect(evidence)
        ),
        "explanation": sections.graph_section(evidence),
        "sky_worth": worth_section(evidence),
        "outside": outside_range(evidence),
        "data": _data_card(evidence),
        "manifests": evidence.manifests,
        "settings": _settings(evidence),
    }


def _base(evidence: Evidence) -> str:
    others = worth_comparisons(importance_of(evidence))
    return captions.evidence_base(evidence.scores, evidence.training, others)


def _robustness(findings: Findings) -> list[Picture]:
    """What really happens and what was published in one figure, noise and attacks in another."""
    plain = [s for s in findings.perturbations if s.group in ("published", "data")]
    placed = [s for s in findings.perturbations if s.group not in ("published", "data")]

    def drawn(rows: Sequence[PerturbationResult], name: str) -> Picture:
        return picture(lambda: figures.robustness_figure(rows, name))

    return [drawn(rows, name) for rows, name in ((plain, "robustness"), (placed, "attacks")) if rows]


def _data_card(evidence: Evidence) -> dict[str, object]:
    dataset = evidence.dataset
    quality = dataset.quality
    spans = {name: split_span(evidence, name) for name in ("train", "validation", "test")}
    kinds = Counter((wave.kind, wave.quantity, wave.unit, wave.known_in_advance) for wave in dataset.specs)
    return {
        "source": published_name(quality.source.uri),
        "facts": quality,
        "rows": len(dataset.dates),
        "first_date": str(dataset.dates[0]),
        "last_date": str(dataset.dates[-1]),
        "layout": dataset.layout,
        "window": dataset.window,
        "scale_rows": dataset.scale_rows,
        "spans": spans,
        "splits_svg": picture(
            lambda: figures.splits_figure(spans, dataset.dates, np.exp(dataset.log_prices[:, -1]))
        ),
        "warnings": quality.warnings,
        "constant": quality.constant_waves,
        "outside": quality.out_of_train_range,
        "waves": [
            {"kind": kind, "quantity": quantity, "unit": unit, "known": known, "count": count}
            for (kind, quantity, unit, known), count in kinds.items()
        ],
        "walk": dataset.walk,
    }


def _settings(evidence: Evidence) -> str:
    """The settings of all steps as one YAML text."""
    merged: dict[str, object] = {}
    for manifest in evidence.manifests.values():
        merged |= manifest.settings
    if "source" in merged:
        merged["source"] = published_name(str(merged["source"]))
    return yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
