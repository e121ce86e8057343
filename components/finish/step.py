"""The end of a run on a cluster, whatever became of its steps: a page, a record, and a message to a webhook."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.finish.ending import RunEnd, end_of, seconds_of, told_steps
from components.finish.publishing import publish_end
from components.finish.webhook import post
from components.notes import REPORT, SUMMARY, StepNote, read_notes
from components.steps import BESIDE
from model_core.artifacts import code_version, no_folders_left
from model_core.config.run import Settings
from model_core.disk import disk_error, require_file
from model_core.documents import parse_json
from model_core.errors import OversizedError, PgatError, PipelineError, UserError, quoted, shown
from model_core.report.ending import EndPage, end_page, failure_texts
from model_core.results.run import SUCCEEDED, RunRecord
from model_core.store.base import READ_BYTES, Store
from model_core.store.locate import open_store
from model_core.store.names import published_name, refuse_bad_run_name
from model_core.texts import DocumentError, read_text
from model_core.versions import git_commit

log = logging.getLogger("pgat.finish")
_PAGE_BYTES = 2**27
_STATUS_BYTES = 2**16
_REMEDY = (
    "The same run, started again, reuses the steps that ended. Training goes on from its checkpoint URI."
)


@dataclass(frozen=True)
class FinalStatus:
    """What KFP says of all steps together when the run ends."""

    state: str
    run: str = ""
    """KFP's own name of the run."""
    message: str = ""
    """KFP's error; empty on a cluster."""


class _KubeflowsStatus(BaseModel):
    """``PipelineTaskFinalStatus`` as KFP hands it to a step."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    class Error(BaseModel):
        """What KFP says of a failure; empty on a cluster."""

        message: str | None = None

    state: str
    pipeline_job_resource_name: str | None = Field(default=None, alias="pipelineJobResourceName")
    error: Error | None = None


def read_status(path: str) -> FinalStatus:
    """What the file at ``path`` says, the JSON of KFP's ``PipelineTaskFinalStatus``.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        found = _KubeflowsStatus.model_validate(parse_json(read_text(Path(path), _STATUS_BYTES)))
    except OSError as error:
        raise UserError(
            f"--status {quoted(path)} cannot be read ({error.strerror}); check its path"
        ) from error
    except (DocumentError, ValidationError) as error:
        raise UserError(
            f'--status {quoted(path)} is not KFP\'s status of a run; write e.g. {{"state": "FAILED"}}'
        ) from error
    message = (found.error and found.error.message) or ""
    return FinalStatus(found.state, found.pipeline_job_resource_name or "", message)


def run(
    *,
    status: FinalStatus,
    settings: Settings,
    source: str,
    run_name: str,
    page: Path,
    notes: str | None,
    publish_uri: str | None,
    webhook: str | None,
) -> dict[str, float]:
    """Tell how the run ended: in a page, in its record, and to a webhook.

    Each of these is tried, even if another fails.

    Args:
        status: of all steps together.
        settings: of all steps.
        source: the market table.
        run_name: what the run is called.
        page: the HTML file to write. For a run that failed it is its report, if that was written, or says what failed.
        notes: URI of what the steps have noted; None: nowhere.
        publish_uri: folder or ``s3://bucket/prefix``; the folder of the run's name there gets the record
            and, if the run failed, the page.
        webhook: URL to which the message is sent; None: none.

    Returns:
        ``steps_ended``, how many steps noted that they ended, and ``succeeded``, 0 or 1.

    Raises:
        PipelineError: something could not be done; everything else was.
        UserError: no run can have that name.
    """
    refuse_bad_run_name(run_name, "--run-name")
    failures: list[str] = []

    def tried(what: str, do: Callable[[], None]) -> None:
        try:
            do()
        except PgatError as error:
            failures.append(f"{what}: {error}")
            log.error("%s", failures[-1])

    noted = _Noted()
    if notes:
        tried("what the steps noted could not be read", lambda: noted.read(notes))
    end = end_of(status.state, status.message, noted.steps)
    log.info("%s", shown(_sentence(run_name, end)))
    shows = noted.report or _page(run_name, source, end, noted.steps, status.run)
    tried("the page could not be written", lambda: _write(page, shows))
    if publish_uri:
        record = _record(run_name, source, end, noted.steps, settings)
        files = {} if _has_report(end) else noted.files_beside(shows)
        tried("nothing could be published", lambda: publish_end(publish_uri, record, files))
    if webhook:
        message = _message(run_name, source, end, publish_uri)
        tried("the webhook was not told", lambda: post(webhook, message))
    if failures:
        raise PipelineError(f"the end of the run could not be told in full: {'; '.join(failures)}")
    return {"succeeded": float(end.status == SUCCEEDED), "steps_ended": float(len(seconds_of(noted.steps)))}


class _Noted:
    """The notes of the steps, and the files beside them."""

    def __init__(self) -> None:
        self.steps: dict[str, StepNote] = {}
        self.report: bytes | None = None
        """The page of a report step that failed after it had written it."""
        self.summary: bytes | None = None

    def read(self, uri: str) -> None:
        store = open_store(uri)
        self.steps = read_notes(store)
        self.report = _left(store, REPORT, _PAGE_BYTES)
        self.summary = _left(store, SUMMARY, READ_BYTES)

    def files_beside(self, page: bytes) -> dict[str, bytes]:
        """The files that a run without a whole report publishes."""
        return {REPORT: page} | ({} if self.summary is None else {SUMMARY: self.summary})


def _left(store: Store, name: str, most_bytes: int) -> bytes | None:
    """A file that a failed report step left; None if it left none, or one larger than any report."""
    try:
        return store.read(name, most_bytes) if store.exists(name) else None
    except OversizedError as error:
        log.warning("%s", error)
        return None


def _has_report(end: RunEnd) -> bool:
    """Whether all five steps ended, so that at most a step after them failed."""
    return end.status == SUCCEEDED or end.step in BESIDE


def _page(run_name: str, source: str, end: RunEnd, notes: Mapping[str, StepNote], run: str) -> bytes:
    called = f" Kubeflow calls this run {shown(run)}." if run else ""
    table = published_name(source)
    if end.status == SUCCEEDED:
        texts: tuple[str, ...] = (
            f"{run_name}, from {table}: its report is the artifact of the step report.{called}",
        )
    elif _has_report(end):
        texts = (
            f"{run_name}, from {table}: {shown(end.reason)}",
            f"Its report is whole, the artifact of the step report: only what comes after it failed.{called}",
        )
    else:
        texts = failure_texts(run_name, table, shown(end.reason), _REMEDY + called)
    steps = told_steps(notes, end.status)
    page = EndPage(run_name, end.status, end.step, texts, steps, end.last_lines)
    return end_page(page).encode()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    with no_folders_left(path.parent):
        path = require_file(path)
        staged = path.with_name(f".{path.name}.part")
        try:
            staged.write_bytes(content)
            staged.replace(path)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise disk_error(path, error) from error


def _record(
    run_name: str, source: str, end: RunEnd, notes: Mapping[str, StepNote], settings: Settings
) -> RunRecord:
    now = datetime.now(UTC)
    started = min((note.began_at for note in notes.values()), default=now)
    return RunRecord(
        name=run_name,
        source=source,
        started_at=started.isoformat(timespec="seconds"),
        status=end.status,
        code_version=code_version(),
        settings=settings.model_dump(mode="json"),
        failed_step=end.step,
        reason=shown(end.reason),
        seconds=(now - started).total_seconds(),
        step_seconds=seconds_of(notes),
        git_commit=git_commit(),
    )


def _sentence(run_name: str, end: RunEnd) -> str:
    at = f" in the step {end.step}" if end.step else ""
    return f"{run_name} {end.status}{at}" + (f": {end.reason}" if end.reason else "")


def _message(run_name: str, source: str, end: RunEnd, publish_uri: str | None) -> dict[str, object]:
    """The message to a webhook; chat rooms show its ``text``."""
    return {
        "text": shown(_sentence(run_name, end)),
        "run": run_name,
        "status": end.status,
        "failed_step": end.step,
        "reason": shown(end.reason),
        "source": shown(published_name(source)),
        "report": shown(f"{publish_uri.rstrip('/')}/{run_name}/{REPORT}") if publish_uri else None,
    }
