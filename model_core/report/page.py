"""The review page of a run: one HTML file that needs nothing else, and the same in a few lines of Markdown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined

from model_core.axes import TARGETS
from model_core.config.run import ReportSettings
from model_core.data.splits import independent_windows
from model_core.evaluation.verdict import (
    close_text,
    correlation_words,
    percent,
    share_words,
    signed,
    skill_words,
)
from model_core.progress import duration
from model_core.report import figures, phrases
from model_core.report.candles import candle_figure
from model_core.report.departures import departure_figure
from model_core.report.evidence import Evidence
from model_core.report.figures import SplitSpan
from model_core.results.findings import ScenarioResult
from model_core.results.scores import MODEL
from model_core.results.tables import price_column
from model_core.sky.bodies import BODIES
from model_core.store.names import published_name

HEADLINE_BASELINES = ("last_close", "structured_walk")
"""Baselines that every page shows beside the best one."""
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""Of every page: styles and pictures are in it; nothing is fetched, and no script runs."""


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
    return environment.from_string(template).render(context(evidence, settings, run_name)) + "\n"


def render_summary(evidence: Evidence, run_name: str) -> str:
    """The verdict and the main table in Markdown."""
    found, shown = phrases.verdict(evidence), phrases.in_markdown
    lines = [f"# {run_name}: {shown(found.headline)}", ""]
    for said in (*(finding.text for finding in found.findings), *found.model, found.celestial):
        lines += [shown(said), ""]
    lines += [shown(f"{found.robustness} {found.invariants}"), ""]
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
    return {
        "content_policy": CONTENT_POLICY,
        "title": settings.title,
        "run_name": run_name,
        "targets": TARGETS,
        "verdict": phrases.verdict(evidence),
        "scores": scores,
        "independent": f"{independent_windows(scores.windows, scores.pred_len):,g}",
        "rows": phrases.score_rows(scores),
        "best_title": titles[scores.best_baseline],
        "best_skill": scores.headline,
        "close_text": close_text(scores.skill_against("last_close", "Close")),
        "target_skill": scores.skill[scores.best_baseline],
        "departure": scores.departure,
        "departure_svg": departure_figure(evidence.predictions) if scores.departure else None,
        "skill_svg": figures.skill_figure(phrases.headline_skill(scores), titles),
        "horizon_svg": figures.horizon_figure(scores.forecasts, names),
        "target_svg": figures.target_figure(scores.forecasts, names),
        "examples": examples(evidence, settings.example_windows),
        "training": evidence.training,
        "kept": phrases.kept_rows(evidence.training),
        "lost_epoch": phrases.lost_epoch(evidence.training),
        "training_svg": figures.training_figure(evidence.history, evidence.training),
        "findings": evidence.findings,
        "disturbed_windows": phrases.disturbed_windows(evidence.findings, scores.pred_len),
        "robustness_svgs": _robustness(evidence.findings.scenarios),
        "pit_svg": figures.pit_figure(scores.calibration) if scores.calibration.model else None,
        "explanation": _explanation(evidence),
        "data": _data_card(evidence),
        "manifests": evidence.manifests,
        "settings": _settings(evidence),
    }


@dataclass(frozen=True)
class Example:
    """A test window and its picture."""

    anchor: str
    error: float
    """Mean absolute error in log price."""
    rank: float
    """Share of the windows with a smaller error."""
    svg: str


def examples(evidence: Evidence, count: int) -> list[Example]:
    """Test windows from a good to a bad forecast, chosen by rank of their error, with their candles."""
    table = evidence.predictions
    forecast, true = (
        table[[price_column(t, what) for t in TARGETS]].to_numpy() for what in ("forecast", "true")
    )
    error = pd.Series(np.abs(forecast - true).mean(axis=1), index=table.index)
    by_window = error.groupby(table["anchor_date"]).mean().sort_values(kind="stable")
    ranks = np.linspace(0.1, 0.9, count) if count > 1 else np.array([0.5])
    dates = pd.to_datetime(pd.Series(evidence.dataset.dates))
    prices = pd.DataFrame(np.exp(evidence.dataset.log_prices), columns=list(TARGETS)).assign(date=dates)
    found = []
    for number, rank in enumerate(ranks):
        anchor = by_window.index[round(float(rank) * (len(by_window) - 1))]
        window = table[table["anchor_date"] == anchor].sort_values("step").reset_index(drop=True)
        history = prices[prices["date"] <= pd.Timestamp(anchor)].reset_index(drop=True)
        found.append(
            Example(
                anchor=str(pd.Timestamp(anchor).date()),
                error=float(by_window[anchor]),
                rank=float(rank),
                svg=candle_figure(history, window, f"candles{number}"),
            )
        )
    return found


def _robustness(scenarios: Sequence[ScenarioResult]) -> list[str]:
    """What really happens and what was published in one figure, noise and attacks in another."""
    plain = [s for s in scenarios if s.group in ("published", "data")]
    placed = [s for s in scenarios if s.group not in ("published", "data")]
    named = (("robustness", plain), ("attacks", placed))
    return [figures.robustness_figure(rows, name) for name, rows in named if rows]


def _explanation(evidence: Evidence) -> dict[str, object] | None:
    """Pictures of what the model looked at, if a step said so."""
    said = evidence.explanation
    if said is None:
        return None
    bodies = [body.replace("_", " ") for body in said.bodies]
    return {
        "adjacency_svg": figures.heat_figure(said.adjacency, bodies, bodies, "adjacency"),
        "attention_svg": figures.heat_figure(said.target_to_body, TARGETS, bodies, "attention"),
        "node": "body" if said.bodies[0] in BODIES else "latent node",
        "sources": sorted(said.source_weights.items(), key=lambda pair: -pair[1]),
    }


def _data_card(evidence: Evidence) -> dict[str, object]:
    dataset = evidence.dataset
    quality = dataset.quality
    spans = {name: _span(evidence, name) for name in ("train", "validation", "test")}
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
        "splits_svg": figures.splits_figure(spans, dataset.dates, np.exp(dataset.log_prices[:, -1])),
        "warnings": quality.warnings,
        "constant": quality.constant_waves,
        "outside": quality.out_of_train_range,
        "waves": [
            {"kind": kind, "quantity": quantity, "unit": unit, "known": known, "count": count}
            for (kind, quantity, unit, known), count in kinds.items()
        ],
        "walk": dataset.walk,
    }


def _span(evidence: Evidence, name: str) -> SplitSpan:
    dataset = evidence.dataset
    span = dataset.span(name)
    return SplitSpan(
        windows=span.stop - span.first,
        first_target_date=str(dataset.dates[span.first + 1]),
        last_target_date=str(dataset.dates[span.stop - 1 + dataset.window.pred_len]),
    )


def _settings(evidence: Evidence) -> str:
    """The settings of all steps as one YAML text."""
    merged: dict[str, object] = {}
    for manifest in evidence.manifests.values():
        merged |= manifest.settings
    if "source" in merged:
        merged["source"] = published_name(str(merged["source"]))
    return yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
