"""A training in a TrainJob tells its Trainer how far it is, as the protocol has it, and never suffers for it."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.train.jobstatus import job_status, watching
from components.train.worker import main
from pipelines.store_tls import write_certificate
from tests.serving import answering
from tests.training.prepared import job_for

trainer = pytest.importorskip("kubeflow_trainer_api.models", reason="the extra 'trainer' is not installed")
PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/pgat-train-1/status"


class StatusServer(ThreadingHTTPServer):
    """Takes what it is told by whoever has the token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token, self.answer = "token-of-the-pod", 200
        self.told: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: StatusServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests need no log."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        status = self.server.answer
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            status = 403
        if status == 200:
            self.server.told.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatusServer]:
    """The server over TLS, and the variables and files that the Trainer gives a pod."""
    write_certificate(folder)
    server = StatusServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (folder / "token").write_text(server.token + "\n", encoding="ascii")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", f"https://127.0.0.1:{server.server_port}{PATH}")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", str(folder / "ca.pem"))
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(folder / "token"))
    with answering(server):
        yield server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatusServer]:
    with serving(tmp_path, monkeypatch) as running:
        yield running


def test_a_worker_tells_the_trainer_how_far_it_is_and_that_it_is_done(
    server: StatusServer, dataset: Path, tmp_path: Path
) -> None:
    main([job_for(dataset, tmp_path / "model").model_dump_json()])
    assert set(server.asked) == {(PATH, "Bearer token-of-the-pod")}
    for body in server.told:
        assert body.keys() == {"trainerStatus"}
        # What the Trainer's own client makes of it has every field, and none that it does not know.
        understood = trainer.TrainerV1alpha1TrainerStatus.from_dict(body["trainerStatus"])
        assert understood is not None
        assert understood.to_dict().keys() == body["trainerStatus"].keys()
    last = server.told[-1]["trainerStatus"]
    assert (last["progressPercentage"], last["estimatedRemainingSeconds"]) == (100, 0)
    assert {each["name"] for each in last["metrics"]} == {"train_loss", "validation_loss"}


def test_each_epoch_and_member_counts_its_share(
    server: StatusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = job_status()
    assert status is not None
    told: list[tuple[float, float]] = []
    monkeypatch.setattr(status, "tell", lambda share, left, metrics: told.append((share, left)))
    row = {"epoch": 3, "seconds": 10.0, "train_loss": 1.0, "validation_loss": float("nan")}
    for member in (0, 1):
        watch = watching(status, 4, member, 2, None)
        assert watch is not None
        watch(row)
    assert told == [(0.375, 50.0), (0.875, 10.0)]


def test_a_loss_that_is_not_finite_is_left_out(server: StatusServer) -> None:
    status = job_status()
    assert status is not None
    status.tell(0.5, 1.0, {"train_loss": 0.25, "validation_loss": float("nan")})
    status.finish()
    assert server.told[-1]["trainerStatus"]["metrics"] == [{"name": "train_loss", "value": "0.25"}]


@pytest.mark.parametrize(
    "fault", ["refuses", "wrong token", "no token", "broken token", "unknown authority", "gone"]
)
def test_a_trainer_that_cannot_be_told_costs_one_warning_and_no_training(
    fault: str,
    server: StatusServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    match fault:
        case "refuses":
            server.answer = 500
        case "wrong token":
            server.token = "another"
        case "no token":
            (tmp_path / "token").unlink()
        case "broken token":
            (tmp_path / "token").write_text("token-of-the-pod\nX-Forged: 1", encoding="ascii")
        case "unknown authority":
            (tmp_path / "elsewhere").mkdir()
            write_certificate(tmp_path / "elsewhere")
            monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", str(tmp_path / "elsewhere" / "ca.pem"))
        case _:
            monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9/status")
    status = job_status()
    assert status is not None
    status.tell(0.5, 1.0, {})
    status.finish()
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(
        "the TrainJob's status does not show the progress of this training, which goes on (127.0.0.1:"
    )
    assert "token-of-the-pod" not in caplog.text
    assert not server.told


def test_nobody_is_told_outside_of_a_trainjob_and_no_token_leaves_unencrypted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert job_status({}) is None
    variables = {
        "KUBEFLOW_TRAINER_SERVER_URL": "http://127.0.0.1:9/status",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": "ca.crt",
        "KUBEFLOW_TRAINER_SERVER_TOKEN": "token",
    }
    assert job_status(variables) is None
    assert "is not https://" in caplog.text
    assert job_status(variables | {"KUBEFLOW_TRAINER_SERVER_URL": "https://[nowhere"}) is None
    assert watching(None, 1, 0, 1, None) is None
