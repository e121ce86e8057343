"""A real MLflow server, which starts once for the tests of a file, and a run to send there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.evaluation.small_run import small_run
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.tracking.mlflow_server import serving


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("mlflow")) as port:
        yield port


@pytest.fixture
def client(port: int) -> MlflowClient:
    return MlflowClient(f"http://127.0.0.1:{port}")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One run with everything, made of the small run."""
    folders = {kind: str(small_run()[kind]) for kind in ("dataset", "model", "evaluation", "findings")}
    record = synthetic_record(
        0,
        name="whole",
        artifacts=folders,
        headline=None,
        step_seconds={"train": 12.5},
        git_commit="0123456789ab",
    )
    write_record(tmp_path / "runs", record)
    (tmp_path / "runs/whole/report.html").write_text("<p>page", encoding="utf-8")
    return tmp_path / "runs"
