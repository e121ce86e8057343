"""What is sent to an MLflow server, and what arrived there."""

from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from components.train.job import Job
from pipelines.__main__ import main
from tests.training.prepared import TRAINING, job_for


def export(runs: Path | str, port: int, experiment: str, *names: str) -> int:
    """The exit code of ``runs export``."""
    where = ["--runs", str(runs), "--mlflow", f"http://127.0.0.1:{port}", "--experiment", experiment]
    return main(["runs", "export", *names, *where])


def tracked(client: MlflowClient, experiment: str) -> list[Run]:
    """The entries of the experiment."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def history(client: MlflowClient, run_id: str, metric: str) -> list[tuple[int, float]]:
    """Steps and values."""
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def job(dataset: Path, model: Path, **changes: object) -> Job:
    """Of two epochs, with ``changes`` of its settings."""
    settings = TRAINING.model_copy(update={"tensorboard": False, **changes})
    return job_for(dataset, model, training_settings=settings)


def step_at(client: MlflowClient, url: str, experiment: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What Kubeflow does before a step: a run of its own, named by the environment."""
    run_id = client.create_run(client.create_experiment(experiment)).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return str(run_id)
