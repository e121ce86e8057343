"""A run on a cluster: compile, hand over to Kubeflow Pipelines, and watch it if asked.

The API's token, where it wants one, comes from the environment (``KFP_TOKEN``), so that it stands in no
process list. The object store's keys never
leave the cluster: the pipeline only names the Kubernetes Secret that holds them.
"""

import json
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp

from components.steps import STEPS
from model_core.artifacts import code_version
from model_core.config.run import Settings
from model_core.data.reading.samples import sample_of
from model_core.errors import PipelineError, UserError, quoted, shown
from model_core.store.locate import check_uri, in_object_store
from model_core.store.names import refuse_bad_run_name
from pipelines.compile import compile_pipeline
from pipelines.kubeflow_api import connected, mapped, quiet, refuse_bad_host, token_for
from pipelines.resources import Cluster
from pipelines.training import PIPELINE_NAME, settings_parameters

_GOOD, _BAD = ("SUCCEEDED", "SKIPPED"), ("FAILED", "CANCELED")
_POLL_SECONDS = 10.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True)
class Submission:
    """One run for a cluster.

    Args:
        host: URL of the Kubeflow Pipelines API.
        settings: of all steps.
        cluster: images, accelerators and secret.
        source: ``sample://…`` or ``s3://…``; the cluster cannot read this machine's disk.
        source_version: any text that changes when the table at ``source`` does; part of the cache key.
        name: of the run; empty: made from the time.
        experiment: group of runs; made if there is none of that name.
        namespace: Kubernetes namespace, on multi-user clusters; empty: the cluster's own.
        service_account: that the run's pods use; empty: the cluster's default.
        pipeline_root: where artifacts go; empty: what the cluster's ``kfp-launcher`` says.
        checkpoint_uri: ``s3://…`` that keeps training checkpoints; empty for none.
        publish_uri: ``s3://…`` that also gets the report; empty for none.
        caching: whether steps may be reused.
        token_over_http: whether the API's token may travel unencrypted to another machine.
        register: whether to store the pipeline under its name, so that it can be started from the UI.
    """

    host: str
    settings: Settings
    cluster: Cluster
    source: str
    source_version: str = ""
    name: str = ""
    experiment: str = "celestial-enhanced-pgat"
    namespace: str = ""
    service_account: str = ""
    pipeline_root: str = ""
    checkpoint_uri: str = ""
    publish_uri: str = ""
    caching: bool = True
    register: bool = False
    token_over_http: bool = False

    def __post_init__(self) -> None:
        """Refuse what can only fail once the pods run.

        Raises:
            UserError: a bad name, a URI that pods cannot read, or a store without the secret that opens it.
        """
        if self.name:
            refuse_bad_run_name(self.name, "--name")
        if self.cluster.tag.endswith("-dirty") and len(self.cluster.images) < len(STEPS):
            raise UserError(
                "this checkout has changes that no image holds; commit them, or name the images' --tag"
            )
        for uri in filter(None, (self.pipeline_root, self.checkpoint_uri, self.publish_uri)):
            check_uri(uri)
        if in_object_store(self.source):
            check_uri(self.source)
        refuse_bad_host(self.host)
        if sample_of(self.source) is None and not in_object_store(self.source):
            raise UserError(
                f"--source {quoted(self.source)}: pods cannot read it; upload the table and name s3://…"
            )
        for flag, uri in (("--checkpoint-uri", self.checkpoint_uri), ("--publish-uri", self.publish_uri)):
            if uri and not in_object_store(uri):
                raise UserError(f"{flag} {uri} ends with the pod that writes it; name an s3://… there")
        remote = [u for u in (self.source, self.checkpoint_uri, self.publish_uri) if in_object_store(u)]
        if remote and not self.cluster.secret:
            raise UserError(
                f"{remote[0]} needs the store's keys; name the Kubernetes Secret that holds them, "
                "e.g. --secret mlpipeline-minio-artifact"
            )


def submit(
    submission: Submission,
    *,
    wait: bool = False,
    poll_seconds: float = _POLL_SECONDS,
    say: Callable[[str], None] = print,
) -> str:
    """Start the run and return the URL of its page.

    Args:
        wait: whether to return only once the run has ended, telling of each step's state until then.
        poll_seconds: how often to ask.
        say: gets one line per news.

    Raises:
        UserError: the API refuses, or its token cannot be sent.
        StoreError: the API cannot be reached.
        PipelineError: with ``wait``: the run failed or was stopped.
    """
    token = token_for(submission.host, over_http=submission.token_over_http)
    name = submission.name or f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with tempfile.TemporaryDirectory(prefix="pgat-") as scratch:
        package = Path(scratch) / "pipeline.yaml"
        with quiet():
            compile_pipeline(package, submission.settings, submission.cluster, code_version())
        with mapped(submission.host), quiet():
            client = connected(submission.host, submission.namespace, token)
            run_id = _started(client, submission, package, name)
    url = f"{submission.host.rstrip('/')}/#/runs/details/{run_id}"
    if wait:
        say(f"run {name}: {url}")
        _watch(client, submission.host, run_id, poll_seconds, say)
    return url


def _started(client: kfp.Client, submission: Submission, package: Path, name: str) -> str:
    """The id of the new run."""
    experiment = client.create_experiment(submission.experiment, namespace=submission.namespace or None)
    version = _register(client, package, submission.namespace) if submission.register else {}
    run = client.run_pipeline(
        experiment_id=experiment.experiment_id,
        job_name=name,
        params=_parameters(submission, name),
        pipeline_root=submission.pipeline_root or None,
        enable_caching=submission.caching,
        service_account=submission.service_account or None,
        **(version or {"pipeline_package_path": str(package)}),
    )
    if not _ID.fullmatch(run.run_id):
        raise ValueError("no run in the answer")
    return str(run.run_id)


def _parameters(submission: Submission, name: str) -> dict[str, Any]:
    return {
        "source": submission.source,
        "source_version": submission.source_version,
        "run_name": name,
        "checkpoint_uri": submission.checkpoint_uri,
        "publish_uri": submission.publish_uri,
        "code_version": code_version(),
        **settings_parameters(submission.settings),
    }


def _register(client: kfp.Client, package: Path, namespace: str) -> dict[str, str]:
    """Store the pipeline, or a new version of it; returns what names that version."""
    same_name = {"operation": "EQUALS", "key": "display_name", "stringValue": PIPELINE_NAME}
    found = client.list_pipelines(
        namespace=namespace or None, filter=json.dumps({"predicates": [same_name]})
    ).pipelines
    if not found:
        pipeline = client.upload_pipeline(str(package), PIPELINE_NAME, namespace=namespace or None)
        newest = client.list_pipeline_versions(pipeline.pipeline_id, sort_by="created_at desc")
        version = newest.pipeline_versions[0]
    else:
        label = f"{code_version()}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        version = client.upload_pipeline_version(str(package), label, pipeline_id=found[0].pipeline_id)
    return {"pipeline_id": version.pipeline_id, "version_id": version.pipeline_version_id}


def _watch(
    client: kfp.Client, host: str, run_id: str, poll_seconds: float, say: Callable[[str], None]
) -> None:
    """Tell of each step's state until the run has ended.

    ``kfp.Client.wait_for_run_completion`` waits for ever on a run that was cancelled.
    """
    last_state: dict[str, str] = {}
    while True:
        with mapped(host):
            run = client.get_run(run_id)
            tasks = (run.run_details.task_details if run.run_details else None) or []
            for task in tasks:
                if task.state and last_state.get(task.display_name) != task.state:
                    last_state[task.display_name] = task.state
                    say(shown(f"  {task.display_name}: {task.state.lower()}"))
            if run.state in _GOOD:
                say(shown(f"run {run.display_name}: {run.state.lower()}"))
                return
            if run.state in _BAD:
                failed = [f"{t.display_name} ({_message(t.error)})" for t in tasks if t.state == "FAILED"]
                reason = "; ".join(failed) or _message(run.error)
                raise PipelineError(f"the run {run.display_name} was {run.state.lower()}: {reason}")
        time.sleep(poll_seconds)


def _message(error: Any) -> str:
    return str(error.message) if error is not None and error.message else "see its log on the run's page"
