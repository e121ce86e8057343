"""As KFP runs it, the last step publishes a page and a record of a run that failed, and never fails itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import local
from kfp.dsl.executor import Executor
from kfp.dsl.types import artifact_types

from components.finish.component import finish
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import InvariantError, TrainingError
from model_core.store.locate import open_store
from model_core.variables import STEP_NOTES
from pipelines.compile import cluster_pipeline
from pipelines.pods.profiles import load_pods
from pipelines.resources import Cluster
from pipelines.training import settings_parameters
from tests.pipeline.endings import ROOT, publish, recorded, step_fails
from tests.store.real import real_store

TINY = str(Path(__file__).parent / "tiny.yaml")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with (
        pytest.MonkeyPatch.context() as patch,
        real_store(tmp_path_factory.mktemp("objects"), "mlpipeline", patch),
    ):
        yield


def finished(
    folder: Path, state: str, monkeypatch: pytest.MonkeyPatch, root: str = ROOT, **parameters: Any
) -> str:
    """Run the exit handler as KFP's executor does with what its driver gives; returns its page."""
    monkeypatch.setattr(artifact_types, "_MINIO_LOCAL_MOUNT_PREFIX", f"{folder}/minio/")
    given = {
        "status": {
            "state": state,
            "pipelineJobResourceName": "celestial-training-pipeline-x7k2p",
            "pipelineTaskName": "exit-handler-1",
            "error": {},
        },
        "source": "s3://market/nasdaq.csv",
        "run_name": "",
        "run_called": "0B7C",
        "code_version": "v",
        **settings_parameters(Settings()),
        **parameters,
    }
    page = f"minio://{root}/finish/91/page"
    artifact = {"name": "page", "type": {"schemaTitle": "system.HTML"}, "uri": page}
    executor_input = {
        "inputs": {"parameterValues": given},
        "outputs": {
            "artifacts": {"page": {"artifacts": [artifact]}},
            "outputFile": str(folder / "output.json"),
        },
    }
    Executor(executor_input=executor_input, function_to_execute=finish.python_func).execute()
    path = folder / "minio" / page.removeprefix("minio://")
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_failed_step_ends_with_a_published_page_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    with pytest.raises(SystemExit):
        step_fails(f"minio://{ROOT}", tmp_path, TrainingError("the loss is <NaN>; lower the rate"))
    store = open_store("s3://mlpipeline/reports")
    publish(tmp_path, "s3://mlpipeline/reports", "0b7c", b"of an earlier run of that name")
    page = finished(tmp_path, "FAILED", monkeypatch, publish_uri="s3://mlpipeline/reports")
    assert "RUN FAILED in the step train" in page
    assert "the loss is &lt;NaN&gt;; lower the rate" in page
    assert "celestial-training-pipeline-x7k2p" in page
    assert "epoch 1" in page
    assert store.read("0b7c/report.html").decode() == page
    record = recorded("s3://mlpipeline/reports", "0b7c")
    assert (record.status, record.failed_step) == ("failed", "train")
    assert record.reason == "the loss is <NaN>; lower the rate"
    assert record.settings == Settings().model_dump(mode="json")
    assert (list(record.files), record.headline) == (["report.html"], None)
    assert b"<td>failed</td>" in store.read("index.html")


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_failed_invariant_ends_with_the_red_page_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "report")
    (tmp_path / "page").write_text("<p>INVARIANT FAILED</p>", encoding="utf-8")
    root = f"{ROOT}-red"
    error = InvariantError("INVARIANT FAILED: candles; the page is complete and shows it")
    with pytest.raises(SystemExit):
        step_fails(f"minio://{root}", tmp_path, error, {"report.html": str(tmp_path / "page")}, "report")
    # The report had published what it found, as that of a run that succeeded.
    publish(tmp_path, "s3://mlpipeline/red", "named", b"<p>INVARIANT FAILED</p>", git_commit="abc")
    more = {"publish_uri": "s3://mlpipeline/red", "run_name": "named"}
    page = finished(tmp_path, "FAILED", monkeypatch, root, **more)
    assert page == "<p>INVARIANT FAILED</p>"
    assert open_store("s3://mlpipeline/red").read("named/report.html").decode() == page
    record = recorded("s3://mlpipeline/red", "named")
    assert (record.status, record.git_commit) == ("failed", "abc")
    assert record.reason.startswith("INVARIANT FAILED: candles")


def test_what_it_cannot_do_is_said_and_the_run_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    page = finished(tmp_path, "FAILED", monkeypatch, publish_uri="s3://mlpipeline/reports")
    assert "RUN FAILED" in page, "KFP keeps it even if nothing can be published"
    assert "--secret" in page
    told = capsys.readouterr().err
    assert told.count("error: ") == 1
    assert "the end of the run could not be told in full" in told
    assert "nothing could be published" in told


def test_not_even_a_bug_in_it_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(*given: object, **more: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("components.finish.step.run", bug)
    finished(tmp_path, "FAILED", monkeypatch)
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("kfps_own_runner")
def test_the_compiled_pipeline_tells_its_end_in_kfp_local_too(tmp_path: Path) -> None:
    """The table is not there, so the first step fails; kfp.local itself only knows that the group did."""
    settings = load_settings(TINY, [])
    pipeline = cluster_pipeline(
        settings, Cluster(tag="0123456", pods=load_pods(overrides=["all.retries=0"])), "v"
    )
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    with pytest.raises(RuntimeError):
        pipeline(source="nowhere.csv", publish_uri=str(tmp_path / "shelf"), run_name="far")
    page = (tmp_path / "shelf/far/report.html").read_text(encoding="utf-8")
    assert "RUN FAILED in the step prepare_data" in page
    assert "nowhere.csv" in page
    (run,) = (tmp_path / "root").iterdir()
    assert (run / "finish/page").read_text(encoding="utf-8") == page
