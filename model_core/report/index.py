"""Publishing a report: three files under the run's name, and an index of all runs beside them."""

import html
import json
from pathlib import Path
from typing import Any

from model_core.artifacts import sha256_of
from model_core.evaluation.verdict import skill_words
from model_core.report import words
from model_core.report.evidence import Evidence
from model_core.store.locate import open_store

Json = dict[str, Any]


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
    runs = [
        json.loads(store.read(key))
        for key in store.keys()  # noqa: SIM118  a store is no dict
        if key.count("/") == 1 and key.endswith("/manifest.json")
    ]
    store.write("index.html", index_page(runs).encode())
    return f"{uri.rstrip('/')}/{run_name}/report.html"


def run_manifest(run_name: str, *, report: Path, summary: Path, evidence: Evidence) -> Json:
    """What a published run is, small enough to list many of them."""
    scores = evidence.scores
    row = next(r for r in words.headline_skill(scores) if r["baseline"] == scores["best_baseline"])
    return {
        "schema_version": 1,
        "producer": "report",
        "run_name": run_name,
        "created_at": evidence.manifests["diagnose"].created_at,
        "git_commit": evidence.manifests["train"].git_commit,
        "code_version": evidence.manifests["train"].code_version,
        "source": evidence.dataset.quality["source"]["uri"],
        "outcome": scores["verdict"]["outcome"],
        "text": scores["verdict"]["text"],
        "best_baseline": scores["best_baseline"],
        "skill": {k: row[k] for k in ("skill", "low", "high")},
        "mae_price": scores["forecasts"]["model"]["metrics"]["price"]["overall"]["mae"],
        "windows": scores["windows"],
        "files": {
            name: {"sha256": sha256_of(path), "size": path.stat().st_size}
            for name, path in (("report.html", report), ("summary.md", summary))
        },
    }


def index_page(runs: list[Json]) -> str:
    """A plain list of published runs, newest first."""
    rows = "".join(
        "<tr>"
        f'<td><a href="{html.escape(run["run_name"], quote=True)}/report.html">{html.escape(run["run_name"])}</a></td>'
        f"<td>{html.escape(run['created_at'])}</td><td>{html.escape(run['source'])}</td>"
        f"<td>{html.escape(run['outcome'])}</td><td>{html.escape(skill_words(run['skill']))}</td></tr>\n"
        for run in sorted(runs, key=lambda run: (run["created_at"], run["run_name"]), reverse=True)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Runs</title>\n'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .8rem .4rem 0;"
        "border-bottom:1px solid #8884}</style></head>\n<body><h1>Runs</h1>\n<table><thead><tr><th>Run</th>"
        "<th>Made</th><th>Source</th><th>Verdict</th><th>Skill against the best baseline</th></tr></thead>\n"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    )
