"""One MLflow server, asked through MLflow's own client, whose errors become one sentence each.

The client knows how to sign in (``MLFLOW_TRACKING_TOKEN``, ``…_USERNAME`` and ``…_PASSWORD``, ``…_AUTH``), workspaces
and where a server keeps files; it is imported only here, and only when a server is asked, since that takes seconds.
"""

import importlib.util
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from components.tracking.entries import Point
from model_core.disk import temporary_folder
from model_core.errors import (
    ArtifactError,
    DeniedError,
    StoreError,
    UnavailableError,
    UserError,
    quoted,
    shortened,
)

KEY_TAG = "pgat.key"
"""Tag that says which run of this project an MLflow run is."""
_PARAMETERS_AT_ONCE = 100
"""And as many tags; source: ``mlflow.utils.validation``."""
_POINTS_AT_ONCE = 800
"""Values of metrics; MLflow takes 1,000 entries in one request, of all kinds together."""
_WAYS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""How the client behaves where the environment says nothing else. By default it tries for minutes, follows every
redirect, and reports to its makers what it was used for."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages then show an experiment's runs as trainings, not as conversations; source: their scripts."""
_SAID_CHARACTERS = 300
_T = TypeVar("_T")


@dataclass(frozen=True)
class Tracked:
    """A run as the server has it."""

    run_id: str
    tags: Mapping[str, str]


class TrackingServer:
    """The server at ``uri``.

    Args:
        uri: checked by the caller: ``http://…`` or ``https://…``.

    Raises:
        UserError: MLflow's client is not installed.

    Every method raises:
        DeniedError: the server asks for credentials, or refuses those it was given.
        UnavailableError: it does not answer now.
        StoreError: something else answers, or its files are where this client cannot write.
        UserError: the server refuses what it was sent.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        if not client_is_installed():
            raise UserError(
                "MLflow's client is not installed here; install it with pip install mlflow-skinny"
            )
        for name, value in _WAYS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        # A request that is tried again is worth no line until it has failed.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        with self._told():
            self._client = MlflowClient(tracking_uri=self.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment of that name, which is made if there is none.

        Raises:
            UserError: it was deleted.
        """
        with self._told():
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return str(self._client.create_experiment(name, tags=_KIND))
        if not found.experiment_id:
            raise self._another("it names no experiment")
        if found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {name} was deleted at {self.uri}; restore it there, or choose another --experiment"
            )
        return str(found.experiment_id)

    def find(self, experiment: str, key: str, whole: str) -> Tracked | None:
        """The run with that key; None if there is none, or it was deleted.

        There may be several, if an answer was lost and the client asked again, or if two made it at once. All but one
        are deleted: one with the tag ``whole`` stays if there is one, else the first by id, which everybody chooses.

        Args:
            experiment: its id.
            key: value of the tag ``KEY_TAG``.
            whole: name of a tag that only a run has to which everything was sent.
        """
        with self._told():
            listed = self._client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'")
            found = sorted(listed, key=lambda run: (whole not in run.data.tags, run.info.run_id))
            for other in found[1:]:
                self._client.delete_run(other.info.run_id)
        return Tracked(found[0].info.run_id, dict(found[0].data.tags)) if found else None

    def create(self, experiment: str, key: str, name: str, begun_ms: int) -> None:
        """Make a run with that key, which began ``begun_ms`` milliseconds after 1970."""
        with self._told():
            self._client.create_run(experiment, start_time=begun_ms, tags={KEY_TAG: key}, run_name=name)

    def log(
        self,
        run_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        points: Sequence[Point] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add to a run; what the server already has, it does not keep twice."""
        from mlflow.entities import Metric, Param, RunTag

        with self._told():
            for some in _parts(list((parameters or {}).items()), _PARAMETERS_AT_ONCE):
                self._client.log_batch(run_id, params=[Param(key, value) for key, value in some])
            for part in _parts(points, _POINTS_AT_ONCE):
                sent = [Metric(point.name, point.value, point.at_ms, point.step) for point in part]
                self._client.log_batch(run_id, metrics=sent)
            for some in _parts(list((tags or {}).items()), _PARAMETERS_AT_ONCE):
                self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in some])

    def upload(self, run_id: str, file: Path, name: str) -> None:
        """Keep a file with a run under ``name``, in place of an earlier one.

        Raises:
            ArtifactError: the file cannot be read, or not be copied to a temporary folder.
            StoreError: the server names a folder of this machine for it, which MLflow's client would write to.
        """
        with self._told():
            target = str(self._client.get_run(run_id).info.artifact_uri)
            is_here = urlsplit(target).scheme in {"", "file"}
        if is_here:
            raise StoreError(
                f"{self.uri} wants files written to {quoted(target)} on this machine, where no server writes; let the "
                "server take the files (mlflow server --artifacts-destination …)",
                uri=self.uri,
            )
        with temporary_folder() as folder:
            try:
                # MLflow's client takes the file's own name, and its pages show a file by its ending.
                shutil.copyfile(file, folder / name)
            except OSError as error:
                raise ArtifactError(
                    f"{file} is not sent, since it cannot be copied to {folder} ({error.strerror}); make room there, "
                    "and check that the file can be read",
                    path=file,
                ) from error
            with self._told():
                self._client.log_artifact(run_id, str(folder / name))

    def steps(self, run_id: str, metric: str) -> set[int]:
        """The steps at which a metric has a value."""
        with self._told():
            return {point.step for point in self._client.get_metric_history(run_id, metric)}

    def end(self, run_id: str, status: str, at_ms: int) -> None:
        """Say how a run ended, ``FINISHED``, ``FAILED`` or ``KILLED``, and when, in milliseconds since 1970."""
        with self._told():
            self._client.set_terminated(run_id, status, at_ms)

    def goes_on(self, run_id: str) -> None:
        """Say that a run has not ended."""
        with self._told():
            self._client.update_run(run_id, "RUNNING")

    def url_of(self, experiment: str, run_id: str) -> str:
        """Where a browser shows a run."""
        return f"{self.uri}/#/experiments/{experiment}/runs/{run_id}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        from google.protobuf.json_format import ParseError
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise self._sentence(error.get_http_status_code(), str(error)) from error
        except (ParseError, ValueError) as error:
            raise self._another(shortened(str(error), _SAID_CHARACTERS)) from error
        except ImportError as error:
            raise StoreError(
                f"{self.uri} keeps its files where this client cannot write without another package "
                f"({shortened(str(error), _SAID_CHARACTERS)}); install that, or let the server take the files "
                "(mlflow server --artifacts-destination …)",
                uri=self.uri,
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"cannot reach {self.uri} ({_reason(str(error)) or type(error).__name__}); check the address and "
                "the network"
            ) from error

    def _sentence(self, status: int, said: str) -> UserError:
        words = shortened(said.partition("Response body: ")[2].strip("'") or said, _SAID_CHARACTERS)
        if status in {401, 403}:
            return DeniedError(
                f"{self.uri} answered {status} ({words}); set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, to those of a user who may write there"
            )
        if "failed with exception" in said or status in {429, 502, 503, 504}:
            return UnavailableError(
                f"cannot reach {self.uri} ({_reason(said)}); check the address and the network, and that an MLflow "
                "server is running there"
            )
        if redirect := re.search(r"failed with error code (3\d\d)", said):
            return StoreError(
                f"{self.uri} sends this client elsewhere ({redirect[1]}), as to a page to sign in; write the address "
                "where MLflow itself answers, with https:// if it wants that",
                uri=self.uri,
            )
        if (
            "not in a valid JSON format" in said
            or status == 404
            or said.startswith("INTERNAL_ERROR: Response:")
        ):
            return self._another(words)
        return UserError(f"{self.uri} refused ({words}); look at the server's log")

    def _another(self, what: str) -> StoreError:
        return StoreError(
            f"{self.uri} does not answer as MLflow does ({what}), as a page to sign in or another server would; check "
            "the address, and set MLFLOW_TRACKING_TOKEN if it asks for credentials",
            uri=self.uri,
        )


def client_is_installed() -> bool:
    """Whether ``TrackingServer`` can be used here."""
    return importlib.util.find_spec("mlflow") is not None


def _reason(said: str) -> str:
    """The innermost reason in the text of a chain of errors; empty if it names none."""
    last = said.rpartition("Caused by ")[2].rpartition(": ")[2].partition(" (read timeout")[0]
    return shortened(last.rpartition("('")[2].strip("'\")( "), _SAID_CHARACTERS)


def _parts(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
