"""Publishing a report: three files under the run's name, and an index of all runs beside them."""

import html
import json
import logging
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from model_core.artifacts import sha256_of
from model_core.documents import parse_json
from model_core.errors import StoreError, printable, shortened
from model_core.evaluation.verdict import skill_words
from model_core.manifest import FileRecord
from model_core.report.evidence import Evidence
from model_core.report.policy import CONTENT_POLICY
from model_core.results.record import JsonObject
from model_core.results.scores import MODEL, Scores
from model_core.results.skill import SkillInterval
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import INDEX, RUN_NAME_RULE, is_run_name, published_name

log = logging.getLogger("pgat.report")
Words = Annotated[str, AfterValidator(shortened)]


class PublishedRun(BaseModel):
    """``manifest.json`` of a published run, whoever wrote it: what the list of runs shows of it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    schema_version: Literal[1]
    """Of this file's fields."""
    producer: Literal["report"]
    run_name: str
    """The folder's, too."""
    created_at: Words
    """When its findings were made, in UTC."""
    source: Words
    """The market table; of a path its last part only."""
    outcome: Words
    """Of the point forecast against the best baseline."""
    skill: SkillInterval
    """Of the point forecast in squared log error."""
    distribution_outcome: Words | None = None
    """Of the distribution of Close; null for a head that says a point only, and in earlier manifests."""
    crps_skill: SkillInterval | None = None
    """Of the distribution in CRPS; null where the outcome is."""
    text: Words = ""
    """The verdict in words."""
    best_baseline: Words = ""
    """Name of the baseline that the point forecast is compared with."""
    best_distribution: Words | None = None
    """The same of the distribution."""
    mae_price: float | None = None
    """Mean absolute error of the model on the test windows, in prices."""
    windows: int | None = None
    """Test windows."""
    git_commit: str | None = None
    """Of the sources that trained; null outside a clone."""
    code_version: str | None = None
    """Short hash of those sources."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    """The published files, by name."""


def publish(uri: str, run_name: str, *, report: Path, summary: Path, evidence: Evidence) -> str:
    """Copy a run's report, summary and manifest to ``<uri>/<run_name>/`` and renew ``<uri>/index.html``.

    Returns:
        Where the report now stands.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    store = open_store(uri)
    store.upload(f"{run_name}/report.html", report)
    store.upload(f"{run_name}/summary.md", summary)
    # The manifest comes last: a run with a manifest is complete.
    text = json.dumps(run_manifest(run_name, report=report, summary=summary, evidence=evidence), indent=2)
    store.write(f"{run_name}/manifest.json", text.encode())
    store.write(INDEX, index_page(published_runs(store)).encode())
    return f"{uri.rstrip('/')}/{run_name}/report.html"


def published_runs(store: Store) -> list[PublishedRun]:
    """Every run in the store; what only looks like one is named in a warning and left out.

    Raises:
        StoreError: the store cannot be reached.
    """
    found = []
    for key in store.keys():  # noqa: SIM118  a store is not a dict
        if key.count("/") == 1 and key.endswith("/manifest.json"):
            try:
                found.append(_published_run(store, key))
            except ValueError as error:
                log.warning(
                    "%s in %s is not listed: %s; delete it or publish that run again",
                    printable(key),
                    store.uri,
                    error,
                )
    return found


def _published_run(store: Store, key: str) -> PublishedRun:
    """
    Raises:
        ValueError: the object is not the manifest of a published run.
        StoreError: the store cannot be reached.
    """
    name = key.partition("/")[0]
    if not is_run_name(name):
        raise ValueError(f"a run cannot have this name; {RUN_NAME_RULE}")
    try:
        run = PublishedRun.model_validate(parse_json(store.read(key)))
    except ValidationError as error:
        raise ValueError(
            f"it is not the manifest of a published run ({error.error_count()} fields differ)"
        ) from error
    except StoreError as error:
        # If the store does not answer at all, this is an error, too.
        store.exists(key)
        raise ValueError(f"it cannot be read ({error})") from error
    if run.run_name != name:
        raise ValueError("it is another run's")
    return run


def run_manifest(run_name: str, *, report: Path, summary: Path, evidence: Evidence) -> JsonObject:
    """What a published run is, small enough to list many of them."""
    scores = evidence.scores
    return {
        "schema_version": 1,
        "producer": "report",
        "run_name": run_name,
        "created_at": evidence.manifests["diagnose"].created_at,
        "git_commit": evidence.manifests["train"].git_commit,
        "code_version": evidence.manifests["train"].code_version,
        "source": published_name(evidence.dataset.quality.source.uri),
        "outcome": scores.verdict.outcome,
        "text": " ".join(scores.verdict.sentences),
        "best_baseline": scores.best_baseline,
        "skill": scores.headline.model_dump(include=set(SkillInterval.model_fields)),
        **_distribution(scores),
        "mae_price": scores.forecasts[MODEL].metrics.price.overall.mae,
        "windows": scores.windows,
        "files": {
            name: {"sha256": sha256_of(path), "size": path.stat().st_size}
            for name, path in (("report.html", report), ("summary.md", summary))
        },
    }


def _distribution(scores: Scores) -> JsonObject:
    judged, skill = scores.verdict.distribution, scores.calibration.headline
    if judged is None or skill is None:
        return {}
    return {
        "distribution_outcome": judged.outcome,
        "best_distribution": judged.baseline,
        "crps_skill": skill.model_dump(include=set(SkillInterval.model_fields)),
    }


def index_page(runs: list[PublishedRun]) -> str:
    """A plain list of published runs, newest first."""
    rows = "".join(
        "<tr>"
        f'<td><a href="{quote(f"./{run.run_name}/report.html")}">{html.escape(run.run_name)}</a></td>'
        f"<td>{html.escape(run.created_at)}</td><td>{html.escape(published_name(run.source))}</td>"
        f"<td>{html.escape(run.outcome)}</td><td>{html.escape(skill_words(run.skill))}</td>"
        f"<td>{html.escape(run.distribution_outcome or '–')}</td>"
        f"<td>{html.escape(skill_words(run.crps_skill))}</td></tr>\n"
        for run in sorted(runs, key=lambda run: (run.created_at, run.run_name), reverse=True)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Runs</title>\n'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .8rem .4rem 0;"
        "border-bottom:1px solid #8884}</style></head>\n<body><h1>Runs</h1>\n<table><thead><tr><th>Run</th>"
        "<th>Made</th><th>Source</th><th>Point forecast</th><th>Skill against the best baseline</th>"
        "<th>Distribution of Close</th><th>Skill in CRPS</th></tr></thead>\n"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    )
