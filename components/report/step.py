"""Step 5: everything a run left behind in, one self-contained page out."""

import logging
from pathlib import Path

from components.steps import NOT_WORSE
from components.tracking.running import log_results
from model_core.artifacts import no_folders_left
from model_core.config.run import ReportSettings
from model_core.disk import disk_error, require_file
from model_core.errors import InvariantError, StoreError, UploadError
from model_core.evaluation.gate import against_baselines
from model_core.report import phrases
from model_core.report.evidence import read_evidence
from model_core.report.page import render_page, render_summary
from model_core.report.published import publish
from model_core.store.names import refuse_bad_run_name
from model_core.store.probe import refuse_unwritable_folder

log = logging.getLogger("pgat.report")


def run(
    *,
    dataset: Path,
    model: Path,
    evaluation: Path,
    findings: Path,
    report: Path,
    summary: Path,
    settings: ReportSettings,
    publish_uri: str | None,
    run_name: str,
) -> dict[str, float]:
    """Write the review page and its summary, and publish both if a store is named.

    Args:
        dataset, model, evaluation, findings: output folders of the four steps before.
        report: the HTML file to write.
        summary: the Markdown file to write.
        settings: the ``report`` section.
        publish_uri: folder or ``s3://bucket/prefix``; the files go to ``<publish_uri>/<run_name>/``.
        run_name: what the run is called on the page and in the store.

    Returns:
        Size of the page, the skills it reports, and whether none of them is worse than the best baseline's.

    Raises:
        ArtifactError: an input is missing or damaged, or an output cannot be written.
        DiskError: the disk filled up.
        InvariantError: a property that must always hold does not; the page and its summary are whole, and published.
        StoreError: the store to publish to cannot be written.
        UploadError: it could be, and was not in the end; the page and its summary are whole.
        UserError: the name cannot name a run.
    """
    refuse_bad_run_name(run_name, "--run-name")
    if publish_uri:
        refuse_unwritable_folder(publish_uri)
    with no_folders_left(report.parent), no_folders_left(summary.parent):
        report, summary = require_file(report), require_file(summary)
        log.info("reading what the run left behind")
        evidence = read_evidence(dataset=dataset, model=model, evaluation=evaluation, findings=findings)
        page = render_page(evidence, settings, run_name)
        _write(report, page)
        _write(summary, render_summary(evidence, run_name))
    log_results({}, {"report.html": report, "summary.md": summary})
    if publish_uri:
        try:
            where = publish(publish_uri, run_name, report=report, summary=summary, evidence=evidence)
        except StoreError as error:
            raise UploadError(
                f"the page could not be published: {str(error).partition('; ')[0]}; it is complete in {report}, and "
                "the same command publishes it"
            ) from error
        log.info("published to %s", where)
    log.info("%s", phrases.verdict(evidence).headline)
    if failed := phrases.failed_invariants(evidence.scores, evidence.findings):
        raise InvariantError(f"INVARIANT FAILED: {'; '.join(failed)}; the page is complete and shows it")
    headline = {
        "report_mb": len(page.encode()) / 1e6,
        NOT_WORSE: float(not against_baselines(evidence.scores)),
    }
    judged = {
        "skill_vs_best_baseline": evidence.scores.headline,
        "crps_skill_vs_best_baseline": evidence.scores.calibration.headline,
    }
    return headline | {
        name: row.skill for name, row in judged.items() if row is not None and row.skill is not None
    }


def _write(path: Path, text: str) -> None:
    """Whole or not at all: written beside its final path and renamed."""
    staged = path.with_name(f".{path.name}.part")
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise disk_error(path, error) from error
