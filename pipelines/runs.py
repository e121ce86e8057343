"""The record of each run in a folder of runs, and the results that it points to."""

import logging
from pathlib import Path

from pydantic import ValidationError

from model_core.artifacts import intact_file, read_json
from model_core.disk import entries
from model_core.errors import ArtifactError, UserError, counted, denied, quoted
from model_core.results.findings import Findings
from model_core.results.headline import Headline, headline_of
from model_core.results.quality import Quality
from model_core.results.record import read_result
from model_core.results.run import INTERRUPTED, RECORD, RUNNING, SUCCEEDED, RunRecord
from model_core.results.scores import MODEL, Scores
from model_core.sealed import seal_of
from model_core.store.names import is_run_name
from pipelines.held import is_held

log = logging.getLogger("pgat.runs")


def score_table(scores: Scores) -> str:
    """Test errors of the model beside every baseline, best first, and the verdicts in words."""
    rows = sorted(scores.forecasts.items(), key=lambda row: row[1].metrics.log.overall.mae)
    width = max(len(forecast.title) for _, forecast in rows)
    lines = [
        f"test windows: {scores.windows}, {scores.first_date} … {scores.last_date}, "
        f"{scores.pred_len} days ahead",
        f"  {'':{width}}  {'MAE price':>10}  {'RMSE price':>10}  {'MAE log':>9}",
    ]
    for name, forecast in rows:
        price, log = forecast.metrics.price.overall, forecast.metrics.log.overall
        lines.append(
            f"{'*' if name == MODEL else ' '} {forecast.title:{width}}  {price.mae:10.3f}  {price.rmse:10.3f}  "
            f"{log.mae:9.6f}"
        )
    return "\n".join([*lines, *scores.verdict.sentences])


def require_runs(runs: Path) -> None:
    """Check that there is a folder of runs, before anything is written because of it.

    Raises:
        UserError: there is none, or it is a file.
    """
    if not runs.exists():
        raise UserError(f"there is no folder {runs}; name the folder of your runs with --runs")
    if not runs.is_dir():
        raise UserError(f"{runs} is a file, not a folder of runs; choose another --runs")


def records(runs: Path) -> list[RunRecord]:
    """Every run's record, newest first; what only looks like one is named in a warning and left out.

    Raises:
        UserError: ``runs`` is not a folder, or does not exist.
        PermissionError: it may not be read.
    """
    require_runs(runs)
    found = []
    for path in [folder / RECORD for folder in entries(runs)]:
        try:
            if path.exists():
                found.append(read_record(path))
        except PermissionError as error:
            log.warning("%s", denied(error))
        except ArtifactError as error:
            log.warning("%s", error)
    return sorted(found, key=lambda record: record.started_at, reverse=True)


def read_record(path: Path) -> RunRecord:
    """One run's record.

    Raises:
        ArtifactError: it is missing, damaged, or another kind of file.
    """
    try:
        record = RunRecord.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not the record of a run ({counted(error.error_count(), 'wrong field')}); delete it, or run "
            "that again",
            path=path,
        ) from error
    if record.name != path.parent.name or not is_run_name(record.name):
        raise ArtifactError(
            f"{path} names another run than its folder does; delete it or run that again", path=path
        )
    if record.status == RUNNING and not is_held(path.parent):
        # A process that was killed cannot say so.
        changes = {
            "status": INTERRUPTED,
            "failed_step": record.running_step or "before the first step",
            "reason": "its process was killed; the same command goes on: it reuses the steps that ended, and training "
            "resumes from its last checkpoint",
        }
        return record.model_copy(update=changes)
    return record


def find_run(runs: Path, name: str) -> RunRecord:
    """The record of one run.

    Raises:
        ArtifactError: it is damaged.
        UserError: there is no such run.
    """
    path = runs / name / RECORD
    if not is_run_name(name) or not path.exists():
        known = ", ".join(record.name for record in records(runs)[:5]) or "none yet"
        raise UserError(f"there is no run {quoted(name)} in {runs}; the newest are: {known}")
    return read_record(path)


def scores_of(runs: Path, record: RunRecord) -> Scores | None:
    """Its scores, if it has any and they still lie there.

    Raises:
        ArtifactError: the file is damaged, or another one than the run left.
    """
    folder = _evaluation(runs, record)
    return None if folder is None else read_scores(folder)


def _evaluation(runs: Path, record: RunRecord) -> Path | None:
    """The folder of the evaluate step, if it is there, with the scores that the run left."""
    folder = record.artifact(runs, "evaluation")
    if record.status != SUCCEEDED or folder is None or not folder.exists():
        return None
    if record.scores_sha256 not in (None, scores_sha256(folder)):
        path = folder / Scores.file
        raise ArtifactError(f"{path} is not what the run {record.name} left; run it again", path=path)
    return folder


def headline_in(runs: Path, record: RunRecord) -> Headline | None:
    """The headline in a record, or, for one of earlier code, the one of its artifacts, if they still lie there.

    Raises:
        ArtifactError: the scores are not what the evaluate step left.
    """
    evaluation = _evaluation(runs, record)
    if evaluation is None or record.headline is not None:
        return record.headline
    scores = read_scores(evaluation)
    findings, dataset = (record.artifact(runs, kind) for kind in ("findings", "dataset"))
    if findings is None or dataset is None or not findings.exists() or not dataset.exists():
        return None
    return headline_of(scores, read_result(Findings, findings), read_result(Quality, dataset))


def headline_from(evaluation: Path, findings: Path, dataset: Path) -> Headline:
    """The headline of what a run left.

    Raises:
        ArtifactError: one of the folders is missing or damaged.
    """
    return headline_of(
        read_scores(evaluation), read_result(Findings, findings), read_result(Quality, dataset)
    )


def scores_sha256(evaluation: Path) -> str:
    """Digest of the scores in the folder of the evaluate step.

    Raises:
        ArtifactError: they cannot be read.
    """
    return seal_of(evaluation / Scores.file)


def read_scores(evaluation: Path) -> Scores:
    """``scores.json`` as the evaluate step left it.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    intact_file(evaluation, Scores.file, producer=Scores.step)
    return read_result(Scores, evaluation)
