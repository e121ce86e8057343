"""What a step tells the MLflow run that its environment names: in the background, and never at the step's cost.

Kubeflow Pipelines gives each step of a run a run of its own at the MLflow that an administrator connected, and sets
``MLFLOW_RUN_ID``, ``MLFLOW_TRACKING_URI`` and how to sign in (KEP-12862 of kubeflow/pipelines). It starts and ends that
run itself and logs the step's inputs and headline numbers there; a step adds what only it knows. Whoever sets the same
variables on their own machine gets the same.

A server that does not answer, or refuses, costs one warning: the step goes on, and says no more to it.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import time

from components.tracking.entries import WATCHED, Point, curve_points, epoch_points, parameters, points
from components.tracking.server import TrackingServer, client_is_installed
from model_core.errors import ArtifactError, UserError, quoted, shown
from model_core.results.course import read_courses
from model_core.results.training import HistoryRow
from model_core.store.names import scheme_of
from model_core.variables import MLFLOW_RUN, MLFLOW_URI

log = logging.getLogger("pgat.tracking")
LAST_SECONDS = 60.0
"""How long a step that is done waits for a slow server to take the rest."""
_Action = Callable[[TrackingServer], None]


class StepLog:
    """Sends to one run of a server, in the order of the calls, from a thread that does not keep its process alive."""

    def __init__(self, uri: str, run_id: str) -> None:
        self._uri, self._run_id = uri, run_id
        self._actions: SimpleQueue[_Action | Event] = SimpleQueue()
        self._known: dict[str, set[int]] = {}
        """Name of a watched metric → steps that the server has."""
        self._failed = False
        Thread(target=self._work, name="pgat-tracking", daemon=True).start()

    def parameters(self, settings: Mapping[str, object]) -> None:
        """Send settings of the step."""
        self._actions.put(lambda server: server.log(self._run_id, parameters=parameters(settings)))

    def results(self, values: Mapping[str, float | None], files: Mapping[str, Path]) -> None:
        """Send numbers without an epoch, and files to keep beside them, by name."""
        sent = points(values, _now())

        def send(server: TrackingServer) -> None:
            server.log(self._run_id, points=sent)
            for name, file in files.items():
                server.upload(self._run_id, file, name)

        self._actions.put(send)

    def epochs(self, sent: Sequence[Point], watched: str) -> None:
        """Send those points whose epoch the metric ``watched`` does not have at the server yet."""

        def send(server: TrackingServer) -> None:
            if watched not in self._known:
                self._known[watched] = server.steps(self._run_id, watched)
            new = [point for point in sent if point.step not in self._known[watched]]
            server.log(self._run_id, points=new)
            self._known[watched] |= {point.step for point in new}

        self._actions.put(send)

    def finish(self) -> None:
        """Wait until everything was sent, ``LAST_SECONDS`` at most."""
        done = Event()
        self._actions.put(done)
        if not done.wait(LAST_SECONDS):
            self._warn(f"it did not take everything within {LAST_SECONDS:g} s")

    def _work(self) -> None:
        server: TrackingServer | None = None
        while True:
            action = self._actions.get()
            if isinstance(action, Event):
                action.set()
            elif not self._failed:
                try:
                    server = server or TrackingServer(self._uri)
                    action(server)
                except UserError as error:
                    self._warn(str(error))

    def _warn(self, why: str) -> None:
        if self._failed:
            return
        self._failed = True
        log.warning(
            "this step goes on, and tells MLflow's run %s nothing more of itself: %s",
            self._run_id,
            shown(why),
        )


def log_parameters(settings: Mapping[str, object]) -> None:
    """Tell the settings of this step, section → settings."""
    if (step := _step_log()) is not None:
        step.parameters(settings)


def log_results(values: Mapping[str, float | None], files: Mapping[str, Path] | None = None) -> None:
    """Tell what a step found, with files by their names at the server, and wait until that was sent."""
    if (step := _step_log()) is not None:
        step.results(values, files or {})
        step.finish()


def watch_epochs(prefix: str = "") -> Callable[[HistoryRow], None] | None:
    """What to call with each finished epoch; None if there is no server to tell.

    Args:
        prefix: of the metrics' names, such as ``member-1/``, where several models are trained.
    """
    step = _step_log()
    if step is None:
        return None
    return lambda row: step.epochs(list(epoch_points(row, _now(), prefix)), prefix + WATCHED)


def log_training(model: Path) -> None:
    """Tell those epochs of a finished training that the server does not have yet, and wait until that was sent.

    Args:
        model: folder of the train step.
    """
    step = _step_log()
    if step is None:
        return
    try:
        courses = read_courses(model)
    except ArtifactError as error:
        # A loss that was not finite costs the server its curves, and not the run its training.
        log.warning("MLflow is not told of the losses by epoch: %s", error)
        return
    seconds = sum(course.epochs["seconds"].sum() for course in courses)
    sent = list(curve_points(courses, _now() - int(1000 * seconds)))
    for prefix in dict.fromkeys(point.name.rpartition("/")[0] for point in sent):
        own = [point for point in sent if point.name.rpartition("/")[0] == prefix]
        step.epochs(own, f"{prefix}/{WATCHED}" if prefix else WATCHED)
    step.finish()


def _step_log() -> StepLog | None:
    return _log_of(os.environ.get(MLFLOW_URI, ""), os.environ.get(MLFLOW_RUN, ""))


@cache
def _log_of(uri: str, run_id: str) -> StepLog | None:
    """One for the process; if there is none where there should be, a warning says once why."""
    if not run_id:
        return None
    if not uri:
        log.warning("%s is set and %s is not, so MLflow is told nothing", MLFLOW_RUN, MLFLOW_URI)
        return None
    if scheme_of(uri) not in {"http", "https"}:
        log.warning(
            "%s %s is no server (http://… or https://…), so MLflow is told nothing", MLFLOW_URI, quoted(uri)
        )
        return None
    if not client_is_installed():
        log.warning(
            "%s is set and MLflow's client is not installed here (pip install mlflow-skinny), so MLflow is told "
            "nothing by this step itself",
            MLFLOW_RUN,
        )
        return None
    return StepLog(uri, run_id)


def _now() -> int:
    return int(1000 * time())
