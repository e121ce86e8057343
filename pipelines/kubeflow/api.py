"""What is asked of the API of Kubeflow Pipelines, v2beta1; every answer that starts something has its id."""

import json
import re
from typing import Annotated, Any

from pydantic import StringConstraints

from model_core.errors import DeniedError, StoreError, UnavailableError, UserError, quoted
from model_core.web.connection import Answer, Connection
from pipelines.kubeflow.address import DASHBOARD_PATH, checked_host
from pipelines.kubeflow.service import KUBEFLOW

_ID = r"[A-Za-z0-9._-]{1,200}"
Id = Annotated[str, StringConstraints(pattern=f"^{_ID}$")]


class Health(Answer):
    """Whether the API answers, and for whom."""

    multi_user: bool = False


class Experiment(Answer):
    """A group of runs."""

    experiment_id: Id


class Experiments(Answer):
    """Those that a filter found."""

    experiments: tuple[Experiment, ...] = ()


class Pipeline(Answer):
    """A pipeline that is stored."""

    pipeline_id: Id


class Pipelines(Answer):
    """Those that a filter found."""

    pipelines: tuple[Pipeline, ...] = ()


class Version(Answer):
    """A version of a pipeline that is stored."""

    pipeline_id: Id
    pipeline_version_id: Id


class Versions(Answer):
    """Those of a pipeline, in the order that was asked for."""

    pipeline_versions: tuple[Version, ...] = ()


class Status(Answer):
    """Why something failed."""

    message: str = ""


class Task(Answer):
    """A step of a run."""

    display_name: str = ""
    state: str | None = None
    error: Status | None = None


class Details(Answer):
    """The steps of a run."""

    task_details: tuple[Task, ...] = ()


class Run(Answer):
    """A run and how it goes."""

    run_id: Id
    display_name: str = ""
    state: str | None = None
    error: Status | None = None
    run_details: Details | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its steps so far."""
        return self.run_details.task_details if self.run_details else ()


class Schedule(Answer):
    """Runs that the cluster starts by itself."""

    recurring_run_id: Id


class Api:
    """The API at one host.

    Args:
        host: URL as the user gave it.
        over_http: whether credentials may travel unencrypted to another machine.

    Raises:
        UserError: the host is not a URL, or the credentials cannot be read or sent there.

    Every method raises what ``Connection.ask`` does.
    """

    def __init__(self, host: str, *, over_http: bool = False) -> None:
        self._connection = Connection(KUBEFLOW, checked_host(host), over_http=over_http)

    @property
    def host(self) -> str:
        """Its URL."""
        return self._connection.host

    def health(self) -> Health:
        """Whether it is there, asked before anything is sent.

        Raises:
            StoreError: it is not; where it stands below ``/pipeline`` instead, that is said.
        """
        try:
            return self._connection.ask("GET", "/healthz", Health)
        except (DeniedError, UnavailableError):
            raise
        except UserError as error:
            if (other := self._below_dashboard()) is not None:
                raise StoreError(
                    f"{self.host} is not the API of Kubeflow Pipelines; write --host {other}",
                    uri=self.host,
                ) from error
            raise

    def experiment(self, name: str, namespace: str) -> str:
        """Id of the experiment of that name, which is made if there is none."""
        found = self._connection.ask(
            "GET", "/experiments", Experiments, query={"namespace": namespace, "filter": _called(name)}
        )
        if found.experiments:
            return found.experiments[0].experiment_id
        body = {"display_name": name} | ({"namespace": namespace} if namespace else {})
        return self._connection.ask("POST", "/experiments", Experiment, body=body).experiment_id

    def register(self, name: str, version: str, file: bytes, namespace: str) -> Version:
        """Store the pipeline ``name``, or a new version of it."""
        sent = ("pipeline.yaml", file)
        found = self._connection.ask(
            "GET", "/pipelines", Pipelines, query={"namespace": namespace, "filter": _called(name)}
        )
        if found.pipelines:
            query = {"name": version, "pipelineid": found.pipelines[0].pipeline_id}
            return self._connection.ask("POST", "/pipelines/upload_version", Version, query=query, file=sent)
        query = {"name": name, "namespace": namespace}
        made = self._connection.ask("POST", "/pipelines/upload", Pipeline, query=query, file=sent)
        newest = self._connection.ask(
            "GET", f"/pipelines/{made.pipeline_id}/versions", Versions, query={"sort_by": "created_at desc"}
        )
        if not newest.pipeline_versions:
            raise StoreError(
                f"{self.host} stored the pipeline {name} without a version; look at it in the UI",
                uri=self.host,
            )
        return newest.pipeline_versions[0]

    def start(self, body: Any) -> str:
        """Id of a new run; ``body`` is a ``V2beta1Run``."""
        return self._connection.ask("POST", "/runs", Run, body=body).run_id

    def schedule(self, body: Any) -> str:
        """Id of a new recurring run; ``body`` is a ``V2beta1RecurringRun``."""
        return self._connection.ask("POST", "/recurringruns", Schedule, body=body).recurring_run_id

    def url_of(self, *, scheduled: bool) -> str:
        """Where runs are started, or recurring ones."""
        return self._connection.url("/recurringruns" if scheduled else "/runs")

    def run(self, run_id: str) -> Run:
        """How a run goes."""
        return self._connection.ask("GET", f"/runs/{run_id}", Run)

    def terminate(self, run_id: str) -> None:
        """End a run; its steps get SIGTERM."""
        self._connection.ask("POST", f"/runs/{run_id}:terminate", Answer)

    def renews_credentials(self) -> bool:
        """Whether the next request may carry others."""
        return self._connection.credentials().renewed

    def _below_dashboard(self) -> str | None:
        """Where the API stands instead, if it stands below the dashboard."""
        if self.host.endswith(DASHBOARD_PATH):
            return None
        other = self._connection.beside(DASHBOARD_PATH)
        try:
            other.ask("GET", "/healthz", Health)
        except UserError:
            return None
        return other.host


def checked_id(text: str) -> str:
    """A run's id as a user gave it.

    Raises:
        UserError: it is none.
    """
    if not re.fullmatch(_ID, text):
        raise UserError(
            f"{quoted(text)} is not the id of a run, which is the end of the URL that submit printed"
        )
    return text


def _called(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
