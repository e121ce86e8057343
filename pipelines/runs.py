"""What runs left behind, for whoever reviews them: list, show, compare, open."""

import logging
import webbrowser
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_core.artifacts import intact_file, read_json
from model_core.config.base import dotted
from model_core.disk import entries
from model_core.errors import ArtifactError, UserError, denied, quoted, shown
from model_core.evaluation.verdict import skill_words
from model_core.results.record import read_result
from model_core.results.scores import MODEL, Scores
from model_core.sealed import seal_of
from model_core.store.names import is_run_name
from pipelines.held import is_held

RECORD = "run.json"
RUNNING = "running"
log = logging.getLogger("pgat.runs")
_SKILL = 22
"""Width of ``−12.3 % [−45.6, +78.9]``."""


class RunRecord(BaseModel):
    """``run.json``: one local run, whole at every moment while it goes on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    """Of this file's fields."""
    name: str
    """The folder's, too."""
    source: str
    """The market table, as it was given."""
    started_at: str
    """In UTC."""
    status: str
    """``running``, ``succeeded``, ``failed`` or ``stopped``."""
    code_version: str
    """Short hash of this project's sources."""
    settings: dict[str, object]
    """Of all steps."""
    running_step: str | None = None
    """Null before the first step, and when the run has ended."""
    failed_step: str | None = None
    """Where the run failed or was stopped."""
    reason: str = ""
    """Why, in words."""
    seconds: float | None = None
    """Of the whole run; null while it goes on."""
    step_seconds: dict[str, float] = Field(default_factory=dict)
    """Of each step that ran."""
    reused: tuple[str, ...] = ()
    """Steps whose output was taken from the cache."""
    artifacts: dict[str, str] = Field(default_factory=dict)
    """Folder or file of each artifact, once the run has succeeded."""
    scores_sha256: str | None = None
    """Of ``scores.json`` when the run succeeded; null before, and in records of earlier code."""


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


def records(runs: Path) -> list[RunRecord]:
    """Every run's record, newest first; what only looks like one is named in a warning and left out.

    Raises:
        UserError: ``runs`` is no folder.
        PermissionError: it may not be read.
    """
    found = []
    try:
        files = [folder / RECORD for folder in entries(runs)]
    except NotADirectoryError as error:
        raise UserError(f"{runs} is a file, not a folder of runs; choose another --runs") from error
    for path in files:
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
            f"{path} is no record of a run ({error.error_count()} fields differ); delete it or run that again",
            path=path,
        ) from error
    if record.name != path.parent.name or not is_run_name(record.name):
        raise ArtifactError(
            f"{path} names another run than its folder does; delete it or run that again", path=path
        )
    if record.status == RUNNING and not is_held(path.parent):
        # A process that was killed cannot say so.
        changes = {
            "status": "interrupted",
            "failed_step": record.running_step or "before the first step",
            "reason": "its process was killed; the same command goes on: it reuses the steps that ended, and training "
            "resumes from its last checkpoint",
        }
        return record.model_copy(update=changes)
    return record


def list_runs(runs: Path) -> str:
    """One line a run."""
    found = records(runs)
    if not found:
        return f"no runs in {runs}; `make run` makes one"
    lines = [
        f"{'name':32}  {'started':25}  {'status':11}  {'MAE log':>9}  {'skill of the point':{_SKILL}}  "
        f"{'of the distribution':{_SKILL}}  source"
    ]
    for record in found:
        started, status, source = map(shown, (record.started_at, record.status, record.source))
        lines.append(f"{record.name:32}  {started:25}  {status:11}  {_listed_scores(record)}  {source}")
    return "\n".join(lines)


def show_run(runs: Path, name: str) -> str:
    """Scores, verdict, time per step and where everything is."""
    record = _find(runs, name)
    lines = [f"{record.name}: {record.status}, started {record.started_at}, {record.source}"]
    if record.status not in (RUNNING, "succeeded"):
        lines.append(f"{record.failed_step}: {record.reason}")
    lines += [f"  {step:14}  reused" for step in record.reused]
    lines += [f"  {step:14} {seconds:7.1f} s" for step, seconds in record.step_seconds.items()]
    if record.status == RUNNING:
        lines.append(f"  {record.running_step or 'starting'} …")
    if (scores := _scores(record)) is not None:
        lines += score_table(scores).splitlines()
    lines += [f"  {kind:10} {path}" for kind, path in record.artifacts.items()]
    return "\n".join(map(shown, lines))


def compare_runs(runs: Path, first: str, second: str) -> str:
    """The settings in which two runs differ, and their scores side by side."""
    one, two = _find(runs, first), _find(runs, second)
    lines = [f"{'':40}  {first:>24}  {second:>24}"]
    left, right = dotted(one.settings), dotted(two.settings)
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            lines.append(f"{key:40}  {left.get(key)!s:>24}  {right.get(key)!s:>24}")
    if len(lines) == 1:
        lines.append("the settings are the same")
    for field in ("source", "code_version"):
        ours, theirs = getattr(one, field), getattr(two, field)
        if ours != theirs:
            lines.append(f"{field:40}  {ours:>24}  {theirs:>24}")
    a, b = _scores(one), _scores(two)
    lines += _compared_scores(a, b) if a is not None and b is not None else []
    return "\n".join(map(shown, lines))


def _compared_scores(a: Scores, b: Scores) -> list[str]:
    lines = []
    if (a.first_date, a.last_date, a.windows) != (b.first_date, b.last_date, b.windows):
        lines.append("the test windows differ, so the errors below are not comparable")
    for name in a.forecasts.keys() & b.forecasts.keys():
        lines.append(f"MAE log, {name:31}  {_mae(a, name):24.6f}  {_mae(b, name):24.6f}")
    for what, rows in (
        ("skill of the point forecast", (a.headline, b.headline)),
        ("skill of the distribution of Close", (a.calibration.headline, b.calibration.headline)),
    ):
        ours, theirs = map(skill_words, rows)
        lines.append(f"{what:40}  {ours:>24}  {theirs:>24}")
    return lines


def open_run(runs: Path, name: str) -> str:
    """Show the report in the web browser; returns its path."""
    page = runs / _find(runs, name).name / "report.html"
    if not page.exists():
        raise UserError(f"the run {name} left no report; see python -m pipelines runs show {name}")
    webbrowser.open(page.resolve().as_uri())
    return str(page)


def _find(runs: Path, name: str) -> RunRecord:
    path = runs / name / RECORD
    if not is_run_name(name) or not path.exists():
        known = ", ".join(record.name for record in records(runs)[:5]) or "none yet"
        raise UserError(f"there is no run {quoted(name)} in {runs}; the newest are: {known}")
    return read_record(path)


def _scores(record: RunRecord) -> Scores | None:
    """
    Raises:
        ArtifactError: the file is damaged, or another one than the run left.
    """
    if record.status != "succeeded" or "evaluation" not in record.artifacts:
        return None
    folder = Path(record.artifacts["evaluation"])
    if not folder.exists():
        return None
    if record.scores_sha256 not in (None, scores_sha256(folder)):
        path = folder / Scores.file
        raise ArtifactError(f"{path} is not what the run {record.name} left; run it again", path=path)
    return read_scores(folder)


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


def _listed_scores(record: RunRecord) -> str:
    """Error, and both skills against their best baseline with their intervals."""
    try:
        scores = _scores(record)
    except ArtifactError as error:
        log.warning("%s", error)
        return f"{'damaged':>9}  {'':{_SKILL}}  {'':{_SKILL}}"
    if scores is None:
        return f"{'':9}  {'':{_SKILL}}  {'':{_SKILL}}"
    point, distribution = map(skill_words, (scores.headline, scores.calibration.headline))
    return f"{_mae(scores, MODEL):9.6f}  {point:{_SKILL}}  {distribution:{_SKILL}}"


def _mae(scores: Scores, forecast: str) -> float:
    return scores.forecasts[forecast].metrics.log.overall.mae
