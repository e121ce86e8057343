"""What is no MLflow server, or will not have us, is told in one sentence, and costs a step nothing but a warning."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from components.tracking import running
from components.tracking.entries import parameters, points
from components.tracking.server import TrackingServer
from components.train.launchers import launch_from_settings
from model_core.errors import ArtifactError, StoreError
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from pipelines.__main__ import main
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.hostile_s3 import HostileS3
from tests.serving import answering
from tests.tracking.tracked import job


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_record(tmp_path / "runs", synthetic_record(0, name="mine"))
    return tmp_path / "runs"


@pytest.fixture
def other() -> Iterator[HostileS3]:
    """A server that is not MLflow."""
    with answering(HostileS3()) as server:
        yield server


def refusal(
    runs: Path, capsys: pytest.CaptureFixture[str], *words: str, names: Sequence[str] = ("mine",)
) -> str:
    """The one line that an export ends with."""
    assert main(["runs", "export", *names, "--runs", str(runs), *words]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    return told.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mlruns", "is no server; start one with `mlflow server"),
        ("sqlite:///runs.db", "is no server; start one with `mlflow server"),
        ("file:///runs", "is no server; start one with `mlflow server"),
        ("htp://127.0.0.1", "is not a URL"),
        ("http://127.0.0.1:99999", "is not a URL"),
        ("http://me:secret@127.0.0.1", "holds credentials or a query; put them into MLFLOW_TRACKING_TOKEN"),
        ("http://127.0.0.1:5000/#/experiments/1", "is the address of a page"),
        ("http://nowhere.invalid:5000", "cannot reach http://nowhere.invalid:5000 (Failed to resolve"),
        ("http://127.0.0.1:9", "Connection refused"),
        ("https://127.0.0.1:9", "Connection refused"),
    ],
)
def test_an_address_that_is_none_of_mlflow(
    url: str, said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(runs, capsys, "--mlflow", url)
    assert said in told
    assert "secret" not in told


def test_no_address_names_the_flag_and_the_variable_which_is_read(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "write --mlflow http://127.0.0.1:5000, or set MLFLOW_TRACKING_URI" in refusal(runs, capsys)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    assert "MLFLOW_TRACKING_URI 'mlruns' is no server" in refusal(runs, capsys)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            401,
            b"You are not authenticated",
            "answered 401 (You are not authenticated); set MLFLOW_TRACKING_TOKEN",
        ),
        (
            403,
            b'{"error_code": "PERMISSION_DENIED", "message": "not you"}',
            "answered 403 (PERMISSION_DENIED: not you)",
        ),
        (200, b"<html>Sign in", "does not answer as MLflow does (<html>Sign in), as a page to sign in"),
        (404, b"<html>Not here", "does not answer as MLflow does"),
        (404, b'{"detail": "Not Found"}', "does not answer as MLflow does"),
        (200, b"{}", "(it names no experiment)"),
        (200, b'{"experiment": 5}', "does not answer as MLflow does (Failed to parse experiment field"),
        (200, b"\xff", "does not answer as MLflow does"),
        (503, b"later", "(too many 503 error responses); check the address"),
    ],
)
def test_an_answer_that_is_none_of_mlflow(
    status: int, body: bytes, said: str, runs: Path, other: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    other.says = (status, [body])
    assert said in refusal(runs, capsys, "--mlflow", other.url)


@pytest.mark.parametrize("started_at", ["yesterday", "", "0001-01-01T00:00:00+14:00"])
def test_a_record_with_a_time_that_is_none_is_exported_all_the_same(
    started_at: str, runs: Path, other: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    """As far as the first request: what is wrong here is the server."""
    write_record(runs, synthetic_record(0, name="odd", started_at=started_at, seconds=1e308))
    other.says = (200, [b"{}"])
    assert "it names no experiment" in refusal(runs, capsys, "--mlflow", other.url, names=("odd",))


def test_a_token_travels_encrypted_or_not_at_all_and_is_never_repeated(
    runs: Path, other: HostileS3, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")
    # An address that no packet is routed to: it is refused before anything is sent.
    assert "use https://, or --token-over-http" in refusal(runs, capsys, "--mlflow", "http://192.0.2.1")
    other.says = (401, [b"no token-of-mine here"])
    assert "token-of-mine" not in refusal(runs, capsys, "--mlflow", other.url)
    assert other.requests[0][1]["Authorization"] == "Bearer token-of-mine"


def test_a_server_that_redirects_is_not_followed(
    runs: Path, other: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    other.redirect = "http://192.0.2.1"
    assert "sends this client elsewhere (307)" in refusal(runs, capsys, "--mlflow", other.url)


@pytest.mark.parametrize("target", ["file://{}", "file:{}", "{}"])
def test_a_server_that_wants_files_in_a_folder_of_this_machine_gets_none_there(
    target: str, other: HostileS3, tmp_path: Path
) -> None:
    """MLflow's client would replace whatever is called so in that folder."""
    (tmp_path / "settings.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "sent").write_text("of a run", encoding="utf-8")
    info = {"run_id": "r", "experiment_id": "1", "artifact_uri": target.format(tmp_path)}
    other.says = (200, [json.dumps({"run": {"info": info, "data": {}}}).encode()])
    with pytest.raises(StoreError, match="on this machine"):
        TrackingServer(other.url).upload("r", tmp_path / "sent", "settings.yaml")
    assert (tmp_path / "settings.yaml").read_text(encoding="utf-8") == "mine"


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_server(other: HostileS3, tmp_path: Path) -> None:
    info = {"run_id": "r", "experiment_id": "1", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}
    other.says = (200, [json.dumps({"run": {"info": info, "data": {}}}).encode()])
    with pytest.raises(ArtifactError, match=r"nothing is not sent.*\(No such file or directory\)"):
        TrackingServer(other.url).upload("r", tmp_path / "nothing", "settings.yaml")


def test_a_run_that_is_not_there_is_told_before_any_server_is_asked(
    runs: Path, capsys: pytest.CaptureFixture[str], other: HostileS3
) -> None:
    assert "there is no run 'nothing'" in refusal(
        runs, capsys, "--mlflow", other.url, names=("mine", "nothing")
    )
    assert other.requests == []


def test_a_step_without_the_client_says_so_once_and_goes_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "client_is_installed", lambda: False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with caplog.at_level(logging.WARNING):
        launch_from_settings(job(dataset, tmp_path / "model", train_epochs=1))
    assert read_result(TrainResults, tmp_path / "model").last_epoch == 1
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "pgat.tracking"]
    assert "pip install mlflow-skinny" in warning


def test_a_run_without_an_address_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "1" * 32)
    running.log_results({"skill": 0.1})
    running.log_results({"skill": 0.2})
    assert [record.getMessage() for record in caplog.records] == [
        "MLFLOW_RUN_ID is set and MLFLOW_TRACKING_URI is not, so MLflow is told nothing"
    ]


def test_a_step_is_not_sent_to_a_database_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    monkeypatch.setenv("MLFLOW_RUN_ID", "2" * 32)
    running.log_results({"skill": 0.1})
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "MLFLOW_TRACKING_URI 'sqlite:///runs.db' is no server" in warning


def test_numbers_that_are_none_have_no_metric_and_words_no_json() -> None:
    sent = points({"a": 1.0, "b": None, "c": float("nan"), "d": float("inf")}, 5)
    assert [(point.name, point.value, point.at_ms) for point in sent] == [("a", 1.0, 5)]
    told = parameters({"a": {"b": [1, 2], "c": None, "d": "word", "e": True}})
    assert told == {"a.b": "[1, 2]", "a.c": "null", "a.d": "word", "a.e": "true"}
