"""Submitting a run, proven against a small server that speaks the API of Kubeflow Pipelines."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from model_core.config.run import Settings
from model_core.errors import PipelineError, StoreError, UserError
from pipelines.resources import Cluster
from pipelines.submit import Submission, submit

Object = dict[str, Any]


class Api(ThreadingHTTPServer):
    """Takes runs; each answers ``states`` in turn when asked how it is."""

    daemon_threads = True

    def __init__(self, states: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.states = states
        self.refuse_with = 0
        self.runs: list[Object] = []
        self.uploads: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/apis/v2beta1")
        if path == "/healthz":
            return self._answer({"multi_user": False})
        if path == "/runs/r1":
            state = self.server.states.pop(0)
            task = {"display_name": "train", "state": state, "error": {"message": "out of memory"}}
            run = {"run_id": "r1", "display_name": "a", "state": state}
            return self._answer(run | {"run_details": {"task_details": [task]}})
        if path.endswith("/versions"):
            return self._answer({"pipeline_versions": [{"pipeline_id": "p1", "pipeline_version_id": "v1"}]})
        return self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path.removeprefix("/apis/v2beta1")
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.refuse_with:
            return self._answer({"message": "no such experiment"}, self.server.refuse_with)
        if path == "/experiments":
            return self._answer({"experiment_id": "e1", "display_name": json.loads(body)["display_name"]})
        if path.startswith("/pipelines/upload"):
            self.server.uploads.append(path)
            return self._answer({"pipeline_id": "p1", "display_name": "celestial-training-pipeline"})
        self.server.runs.append(json.loads(body))
        return self._answer({"run_id": "r1", "display_name": "a"})

    def _answer(self, value: Object, code: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api(["PENDING", "RUNNING", "SUCCEEDED"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def submission(host: str, **more: Any) -> Submission:
    given: dict[str, Any] = {
        "settings": Settings(),
        "cluster": Cluster(tag="abc"),
        "source": "sample://nasdaq",
        "name": "a",
    }
    return Submission(host, **(given | {"name": "a"} | more))


def test_a_run_carries_the_pipeline_and_its_parameters(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "token")
    secret = Cluster(tag="abc", secret="keys")
    wanted = submission(api.url, cluster=secret, source="s3://b/t.csv", service_account="pipeline-runner")
    assert submit(wanted) == f"{api.url}/#/runs/details/r1"
    (run,) = api.runs
    assert (run["experiment_id"], run["display_name"]) == ("e1", "a")
    assert run["service_account"] == "pipeline-runner"
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["source"], parameters["run_name"]) == ("s3://b/t.csv", "a")
    assert parameters["training_settings"]["train_epochs"] == 50
    json_format.ParseDict(run["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
    assert api.tokens == {"Bearer token"}


def test_waiting_tells_each_state_once_and_ends_with_the_run(api: Api) -> None:
    told: list[str] = []
    submit(submission(api.url), wait=True, poll_seconds=0.0, say=told.append)
    assert [line.strip() for line in told[1:]] == [
        "train: pending", "train: running", "train: succeeded", "run a: succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["FAILED", "CANCELED"])
def test_waiting_for_a_run_that_ends_badly_raises(api: Api, end: str) -> None:
    api.states[:] = ["RUNNING", end]
    with pytest.raises(PipelineError, match=f"was {end.lower()}"):
        submit(submission(api.url), wait=True, poll_seconds=0.0, say=lambda line: None)


def test_registering_stores_the_pipeline_and_runs_that_version(api: Api) -> None:
    submit(submission(api.url, register=True))
    assert api.uploads == ["/pipelines/upload"]
    assert api.runs[0]["pipeline_version_reference"] == {"pipeline_id": "p1", "pipeline_version_id": "v1"}


def test_a_refusal_is_told_in_the_apis_own_words(api: Api) -> None:
    api.refuse_with = 404
    with pytest.raises(UserError, match="answered 404 no such experiment"):
        submit(submission(api.url))


def test_an_api_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreError, match="cannot reach http"):
        submit(submission("http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"source": "table.csv"}, "pods cannot read it"),
        ({"source": "sample://nasdq"}, "is not a sample"),
        ({"source": "s3://b/t.csv"}, "needs the store's keys"),
        ({"publish_uri": "/reports"}, "name an s3://"),
        ({"cluster": Cluster(tag="abc-dirty")}, "no image holds"),
    ],
)
def test_what_only_fails_in_the_pods_is_refused_before(more: Object, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        submission("http://127.0.0.1:9", **more)
