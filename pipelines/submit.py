"""A run on a cluster: compile, hand over to Kubeflow Pipelines, and watch it if asked.

The API's credentials come from the environment, so that they stand in no process list. The object store's keys never
leave the cluster: the pipeline only names the Kubernetes Secret that holds them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from model_core.artifacts import code_version
from model_core.data.reading.samples import sample_of
from model_core.disk import temporary_folder
from model_core.errors import SourceError, StoreError, UnavailableError, UserError
from model_core.store.locate import in_object_store, local_path, open_store
from pipelines.compile import cluster_pipeline, compile_pipeline
from pipelines.kubeflow.api import Api
from pipelines.kubeflow.schedule import checked_cron
from pipelines.kubeflow.watch import POLL_SECONDS, page_of, watch
from pipelines.resources import Cluster
from pipelines.submission import Submission
from pipelines.training import PIPELINE_NAME, settings_parameters

_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")


def submit(
    submission: Submission,
    *,
    wait: bool = False,
    poll_seconds: float = POLL_SECONDS,
    say: Callable[[str], None] = print,
) -> str:
    """Start the run, or the schedule, and return the URL of its page.

    Args:
        wait: whether to return only once the run has ended, telling of each step's state until then.
        poll_seconds: how often to ask.
        say: gets one line per news.

    Raises:
        SourceError: a table of this machine is refused, as the pods would refuse it.
        UserError: the pipeline breaks a rule, the API refuses, or its credentials cannot be sent.
        StoreError: the API, or the store for the table, cannot be reached.
        PipelineError: with ``wait``: the run failed or was stopped.
    """
    _specification(submission)  # what breaks a rule is refused before anybody is asked anything
    api = Api(submission.host, over_http=submission.token_over_http)
    table = _table(submission)
    _check_namespace(submission, multi_user=api.health().multi_user)
    if table is not None:
        submission = _uploaded(submission, table, say)
    experiment = api.experiment(submission.experiment, submission.namespace)
    version = _registered(api, submission) if submission.register else None
    name = name_of(submission)
    body = request_body(submission, name, experiment, version)
    try:
        made = api.schedule(body) if submission.cron else api.start(body)
    except UnavailableError as error:
        raise StoreError(
            f"{error}; whether {name} was started is unknown, so look at {api.host}/#/runs first"
        ) from error
    if submission.cron:
        return f"{api.host}/#/recurringrun/details/{made}"
    if wait:
        say(f"run {name}: {page_of(api.host, made)}")
        watch(api, made, say=say, poll_seconds=poll_seconds)
    return page_of(api.host, made)


def dry_run(submission: Submission) -> str:
    """What ``submit`` would send last, as JSON; nothing is sent, and no file is uploaded.

    Raises:
        SourceError: as ``submit``.
    """
    api = Api(submission.host, over_http=submission.token_over_http)
    table = _table(submission)
    if table is not None:
        submission = _to_upload(submission, table)
    experiment = f"(the id of the experiment {submission.experiment})"
    version = {"pipeline_id": "(its id)", "pipeline_version_id": "(its id)"} if submission.register else None
    body = request_body(submission, name_of(submission), experiment, version)
    return json.dumps(
        {"method": "POST", "url": api.url_of(scheduled=bool(submission.cron)), "body": body}, indent=2
    )


def name_of(submission: Submission) -> str:
    """The name that the user gave, or one of this second."""
    kind = "schedule" if submission.cron else "run"
    return submission.name or f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _cluster(submission: Submission) -> Cluster:
    # The cluster cannot see that the table behind a URI changed between two runs of a schedule.
    return replace(submission.cluster, caching=submission.caching and not submission.cron)


def _specification(submission: Submission) -> dict[str, Any]:
    """The pipeline as a run's ``pipeline_spec`` holds it."""
    pipeline = cluster_pipeline(submission.settings, _cluster(submission), code_version())
    return {
        "pipeline_spec": MessageToDict(pipeline.pipeline_spec),
        "platform_spec": MessageToDict(pipeline.platform_spec),
    }


def request_body(
    submission: Submission, name: str, experiment: str, version: Mapping[str, str] | None
) -> dict[str, Any]:
    """A ``V2beta1Run``, or with ``cron`` a ``V2beta1RecurringRun``.

    Args:
        experiment: its id.
        version: the stored version of the pipeline to run; None: the pipeline itself.
    """
    body: dict[str, Any] = {
        "experiment_id": experiment,
        "display_name": name,
        "runtime_config": {"parameters": _parameters(submission, name)},
    }
    if submission.pipeline_root:
        body["runtime_config"]["pipeline_root"] = submission.pipeline_root
    if submission.service_account:
        body["service_account"] = submission.service_account
    if submission.mlflow_experiment:
        body["plugins_input"] = {"mlflow": {"experiment_name": submission.mlflow_experiment}}
    if version is None:
        body["pipeline_spec"] = _specification(submission)
    else:
        body["pipeline_version_reference"] = version
    if submission.cron:
        body |= {
            "trigger": {"cron_schedule": {"cron": checked_cron(submission.cron)}},
            "mode": "ENABLE",
            "no_catchup": True,
            "max_concurrency": "1",
        }
        if submission.namespace:
            body["namespace"] = submission.namespace
    return body


def _parameters(submission: Submission, name: str) -> dict[str, Any]:
    return {
        "source": submission.source,
        "source_version": submission.source_version,
        # The runs of a schedule are called as the cluster calls each of them.
        "run_name": "" if submission.cron else name,
        "checkpoint_uri": submission.checkpoint_uri,
        "publish_uri": submission.publish_uri,
        "model_registry": submission.model_registry,
        "registered_name": submission.registered_name,
        "code_version": code_version(),
        **settings_parameters(submission.cluster.pods.on_a_cluster(submission.settings)),
    }


def _check_namespace(submission: Submission, *, multi_user: bool) -> None:
    if multi_user and not submission.namespace:
        raise UserError(f"{submission.host} serves several users; name your namespace with --namespace")


def _registered(api: Api, submission: Submission) -> dict[str, str]:
    label = f"{code_version()}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with temporary_folder() as scratch:
        path = scratch / "pipeline.yaml"
        compile_pipeline(path, submission.settings, _cluster(submission), code_version())
        version = api.register(PIPELINE_NAME, label, path.read_bytes(), submission.namespace)
    return {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.pipeline_version_id}


def _table(submission: Submission) -> bytes | None:
    """The table of this machine that will be uploaded, checked as the pods would check it; None: there is none."""
    source = submission.source
    if sample_of(source) is not None or in_object_store(source):
        return None
    from model_core.data.prepare import prepare

    wanted = prepare(source, submission.settings.data).quality.source.sha256
    path = local_path(source)
    assert path is not None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != wanted:
        raise SourceError(f"{source} changed while it was read; wait until it is written, and try again")
    return content


def _to_upload(submission: Submission, table: bytes) -> Submission:
    """The submission of the table where it will stand: under its digest, so that none replaces another."""
    digest = hashlib.sha256(table).hexdigest()[:16]
    name = _OTHERS.sub("-", Path(submission.source).name).strip("-") or "table"
    uri = f"{submission.upload_uri.rstrip('/')}/{digest}-{name}"
    return replace(submission, source=uri, source_version=submission.source_version or digest)


def _uploaded(submission: Submission, table: bytes, say: Callable[[str], None]) -> Submission:
    there = _to_upload(submission, table)
    folder, _, key = there.source.rpartition("/")
    with submission.settings.store.limits().in_force():
        open_store(folder).write(key, table)
    say(f"table: {submission.source} → {there.source}")
    return there
