"""The report step publishes its own page: on a cluster nothing else knows the run."""

from pathlib import Path

from model_core.artifacts import sha256_of
from model_core.publishing.publish import publish_run
from model_core.publishing.record import ListedFile
from model_core.report.evidence import Evidence
from model_core.results.headline import headline_of
from model_core.results.run import SUCCEEDED, RunRecord


def publish(uri: str, run_name: str, *, report: Path, summary: Path, evidence: Evidence) -> str:
    """Send a run's report, summary and record to ``<uri>/<run_name>/``, and list it there.

    Returns:
        Where the report now stands.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    files = [
        ListedFile(name, path, path.stat().st_size, sha256_of(path))
        for name, path in (("report.html", report), ("summary.md", summary))
    ]
    publish_run(uri, record_of(run_name, evidence), files)
    return f"{uri.rstrip('/')}/{run_name}/report.html"


def record_of(run_name: str, evidence: Evidence) -> RunRecord:
    """The record of a run, as far as its artifacts tell; it says that the run started when its findings were made."""
    settings: dict[str, object] = {}
    for manifest in evidence.manifests.values():
        settings |= {
            name: section for name, section in manifest.settings.items() if isinstance(section, dict)
        }
    trained = evidence.manifests["train"]
    quality = evidence.dataset.quality
    return RunRecord(
        name=run_name,
        source=quality.source.uri,
        started_at=evidence.manifests["diagnose"].created_at,
        status=SUCCEEDED,
        code_version=trained.code_version,
        git_commit=trained.git_commit,
        settings=settings,
        headline=headline_of(evidence.scores, evidence.findings, quality),
    )
