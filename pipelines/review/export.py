"""A run as an entry of an MLflow server: exported once or ten times, it is one run there."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.tracking import entries
from components.tracking.entries import Point
from components.tracking.server import TrackingServer
from model_core.artifacts import intact_file
from model_core.errors import StoreError, UserError, quoted, shown
from model_core.results.course import read_courses
from model_core.results.findings import Findings
from model_core.results.headline import Headline
from model_core.results.record import read_result
from model_core.results.run import FAILED, RUNNING, SUCCEEDED, RunRecord
from model_core.results.scores import Scores
from model_core.sealed import seal_of
from model_core.store.names import published_name, scheme_of
from model_core.variables import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_URI, MLFLOW_USERNAME
from model_core.web.address import is_readable_on_the_way
from pipelines.kubeflow.address import checked_url
from pipelines.runs import find_run, headline_in, scores_of

EXAMPLE = "http://127.0.0.1:5000"
_STATUS = {RUNNING: "RUNNING", SUCCEEDED: "FINISHED", FAILED: "FAILED"}
"""A record's status → MLflow's. A run with any other was ended by a person or a signal, which is ``KILLED``."""
_NO_SERVERS = {None, "file", "sqlite"}
"""Schemes of MLflow's own files and databases, which are no servers; a path has none."""
_MOST_SECONDS = 1e9
"""31 years: no run takes longer, and MLflow refuses times that are too large."""
_DONE_TAG = "pgat.exported"
"""Digest of what was sent; set last, so that a run that has it is whole."""
_COMMIT_TAG = "mlflow.source.git.commit"
_NOTE_TAG = "mlflow.note.content"
"""Shown as the run's description."""


@dataclass(frozen=True)
class Exported:
    """A run at the server."""

    name: str
    run_id: str
    url: str
    what: str
    """``made``, ``updated`` or ``unchanged``."""


@dataclass(frozen=True)
class _Entry:
    """All that a server is told of a run."""

    parameters: Mapping[str, str]
    points: Sequence[Point]
    tags: Mapping[str, str]
    files: Sequence[Path]

    @property
    def digest(self) -> str:
        """Changes with anything that is sent."""
        points = [[point.name, point.value, point.step, point.at_ms] for point in self.points]
        files = [[path.name, seal_of(path)] for path in self.files]
        text = json.dumps([dict(self.parameters), points, dict(self.tags), files], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def checked_server(uri: str | None, *, over_http: bool) -> str:
    """The server's URL, to which the credentials of the environment may be sent.

    Args:
        uri: as it was given; None: ``MLFLOW_TRACKING_URI``.
        over_http: whether credentials may travel unencrypted to another machine.

    Raises:
        UserError: there is none, it is no URL of a server, or credentials would be readable on the way.
    """
    given = uri or os.environ.get(MLFLOW_URI)
    if not given:
        raise UserError(f"which MLflow server? write --mlflow {EXAMPLE}, or set {MLFLOW_URI}")
    flag = "--mlflow" if uri else MLFLOW_URI
    if scheme_of(given) in _NO_SERVERS:
        raise UserError(
            f"{flag} {quoted(given)} is no server; start one with `mlflow server --backend-store-uri "
            f"sqlite:///mlflow.db` and give its address, e.g. {EXAMPLE}"
        )
    url = checked_url(
        given, flag, f"them into {MLFLOW_TOKEN}, or {MLFLOW_USERNAME} and {MLFLOW_PASSWORD}", EXAMPLE
    )
    named = [name for name in (MLFLOW_TOKEN, MLFLOW_PASSWORD) if os.environ.get(name)]
    if named and is_readable_on_the_way(url) and not over_http:
        raise UserError(
            f"{flag} {url} is not encrypted, and {named[0]} would be readable on the way; use https://, or "
            "--token-over-http where the network is trusted"
        )
    return url


def export_runs(
    runs: Path,
    names: Sequence[str],
    server: TrackingServer,
    experiment: str,
    told: Callable[[Exported], None],
) -> None:
    """Send runs one after the other; ``told`` is called for each that is whole at the server.

    Args:
        runs: the folder of runs.
        names: of the runs to send.
        experiment: name of the experiment, which is made if there is none.

    Raises:
        ArtifactError: a record or an artifact is damaged; nothing of that run was sent.
        DeniedError, StoreError, UnavailableError: as of ``TrackingServer``; the same command completes what is there.
        UserError: there is no such run.
    """
    records = [find_run(runs, name) for name in dict.fromkeys(names)]
    group = None
    for record in records:
        entry = _entry_of(runs, record)
        group = group or server.experiment(experiment)
        told(_export(server, group, record, entry))


def _export(server: TrackingServer, experiment: str, record: RunRecord, entry: _Entry) -> Exported:
    key, begun = key_of(record), _milliseconds(_first_start(record))
    known = there = server.find(experiment, key, _DONE_TAG)
    if there is None:
        server.create(experiment, key, record.name, begun)
        there = server.find(experiment, key, _DONE_TAG)
    if there is None:
        raise StoreError(
            f"{server.uri} made a run and does not find it; look at the server's log", uri=server.uri
        )
    url = server.url_of(experiment, there.run_id)
    if there.tags.get(_DONE_TAG) == entry.digest:
        return Exported(record.name, there.run_id, url, "unchanged")
    server.log(there.run_id, parameters=entry.parameters, points=entry.points, tags=entry.tags)
    for file in entry.files:
        server.upload(there.run_id, file, file.name)
    status = _STATUS.get(record.status, "KILLED")
    if status == "RUNNING":
        server.goes_on(there.run_id)
    else:
        server.end(there.run_id, status, _ended(record))
    server.log(there.run_id, tags={_DONE_TAG: entry.digest})
    return Exported(record.name, there.run_id, url, "made" if known is None else "updated")


def key_of(record: RunRecord) -> str:
    """What identifies a run at a server: the same whenever and from wherever it is exported, also after a later try."""
    decisive = [
        record.name,
        _first_start(record),
        record.host,
        published_name(record.source),
        record.settings,
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def _entry_of(runs: Path, record: RunRecord) -> _Entry:
    """All that the server is told of a run; raises ``ArtifactError`` if something of it is damaged."""
    headline, scores = headline_in(runs, record), scores_of(runs, record)
    values: dict[str, float | None] = {
        f"step_seconds/{step}": seconds for step, seconds in record.step_seconds.items()
    }
    values["seconds"] = record.seconds
    if scores is not None:
        values |= entries.score_metrics(scores)
    findings = record.artifact(runs, "findings")
    if record.status == SUCCEEDED and findings is not None and findings.is_dir():
        intact_file(findings, Findings.file, producer=Findings.step)
        values |= entries.finding_metrics(read_result(Findings, findings))
    return _Entry(
        entries.parameters({"source": published_name(record.source), **record.settings}),
        [*entries.points(values, _ended(record)), *_curves(runs, record)],
        _tags_of(record, headline, scores),
        _files_of(runs, record),
    )


def _curves(runs: Path, record: RunRecord) -> list[Point]:
    model = record.artifact(runs, "model")
    if model is None or not model.is_dir():
        return []
    return list(entries.curve_points(read_courses(model), _milliseconds(_first_start(record))))


def _tags_of(record: RunRecord, headline: Headline | None, scores: Scores | None) -> dict[str, str]:
    said = [] if scores is None else list(scores.verdict.sentences)
    if record.status not in (RUNNING, SUCCEEDED):
        said.append(f"{record.status} at {record.failed_step}: {record.reason}")
    tags = entries.tags(
        status=record.status,
        source=published_name(record.source),
        source_sha256=headline and headline.source_sha256,
        code_version=record.code_version,
        host=record.host,
        failed_step=record.failed_step,
        reused=", ".join(record.reused),
        best_baseline=headline and headline.best_baseline,
        point_forecast=headline and headline.outcome,
        distribution=headline and headline.crps_outcome,
        fragile_in=headline and ", ".join(headline.fragile),
        invariants_failed=headline and ", ".join(headline.broken),
    )
    if record.git_commit:
        tags[_COMMIT_TAG] = record.git_commit
    note = "\n\n".join(map(shown, said))[: entries.TAG_CHARACTERS]
    return tags | ({_NOTE_TAG: note} if note else {})


def _files_of(runs: Path, record: RunRecord) -> list[Path]:
    """The page, what it is made from, and the settings, as far as the run left them."""
    folder, evaluation = runs / record.name, record.artifact(runs, "evaluation")
    found = [folder / name for name in ("report.html", "summary.md", "settings.yaml")]
    if record.status == SUCCEEDED and evaluation is not None:
        found.append(evaluation / Scores.file)
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _first_start(record: RunRecord) -> str:
    return record.attempts[0].started_at if record.attempts else record.started_at


def _ended(record: RunRecord) -> int:
    return _milliseconds(record.started_at) + int(1000 * min(record.seconds or 0, _MOST_SECONDS))


def _milliseconds(moment: str) -> int:
    """Milliseconds since 1970; 0 for a text that is no time, as of a cluster's run that has left nothing yet."""
    try:
        return max(0, int(1000 * datetime.fromisoformat(moment).timestamp()))
    except (ValueError, OverflowError):
        return 0
