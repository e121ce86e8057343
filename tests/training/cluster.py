"""A Kubernetes API of a few paths that runs the TrainJobs it is given, in this process."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.serving import answering

Object = dict[str, Any]
RUNTIME: Object = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "ClusterTrainingRuntime",
    "metadata": {"name": "torch-distributed", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {
                                "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                            },
                            "spec": {
                                "template": {"spec": {"containers": [{"name": "node", "image": "torch"}]}}
                            },
                        },
                    }
                ]
            }
        },
    },
}


POD: Object = {
    "metadata": {
        "name": "first-pod",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": "0",
        },
    },
    "spec": {"containers": [{"name": "node", "image": "torch"}]},
    "status": {"phase": "Failed"},
}


class FakeCluster(ThreadingHTTPServer):
    """Holds TrainJobs; each is executed by ``execute`` when it is created, and says ``words`` in its log."""

    daemon_threads = True

    def __init__(self, execute: Callable[[Object], None], words: str = "", locked: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.execute, self.words, self.locked = execute, words, locked
        self.created: list[Object] = []
        self.deleted: list[str] = []
        self.status: dict[str, str] = {}

    def create(self, job: Object) -> Object:
        name = job["metadata"]["name"]
        job["metadata"] |= {"namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.created.append(job)
        try:
            self.execute(job)
            self.status[name] = "Complete"
        except SystemExit:
            self.status[name] = "Failed"
        return job

    def find(self, name: str) -> Object:
        job = next(job for job in self.created if job["metadata"]["name"] == name)
        condition = {
            "type": self.status[name], "status": "True", "reason": "JobSet", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return job | {"status": {"conditions": [condition]}}


class Handler(BaseHTTPRequestHandler):
    """The paths that the Trainer's SDK asks for."""

    server: FakeCluster

    def do_GET(self) -> None:
        if job := re.search(r"/namespaces/team/trainjobs/([^/?]+)$", self.path):
            self._answer(self.server.find(job[1]))
        elif "/clustertrainingruntimes/torch-distributed" in self.path:
            self._answer(RUNTIME)
        elif self.path.partition("?")[0].endswith("/pods/first-pod/log"):
            self._send(self.server.words.encode(), 200, "text/plain")
        elif "/pods" in self.path:
            self._answer({"apiVersion": "v1", "kind": "PodList", "items": [POD]})
        elif "/configmaps/" in self.path:
            self._answer(
                {"apiVersion": "v1", "kind": "ConfigMap", "data": {"kubeflow_trainer_version": "v2.3.0"}}
            )
        else:
            self._answer({"kind": "Status", "status": "Failure", "code": 404}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.server.create(body), 201)

    def do_DELETE(self) -> None:
        if self.server.locked:
            self._answer({"kind": "Status", "status": "Failure", "code": 403}, 403)
            return
        self.server.deleted.append(self.path.rpartition("/")[2])
        self._answer({"kind": "Status", "status": "Success"})

    def _answer(self, value: Object, code: int = 200) -> None:
        self._send(json.dumps(value).encode(), code, "application/json")

    def _send(self, content: bytes, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""


@contextmanager
def running(cluster: FakeCluster, kubeconfig: Path) -> Iterator[FakeCluster]:
    """Serve the cluster and write the file that leads clients to it."""
    host, port = cluster.server_address[:2]
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [
                    {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "team"}}
                ],
                "clusters": [{"name": "test", "cluster": {"server": f"http://{host!s}:{port}"}}],
                "users": [{"name": "test", "user": {}}],
            }
        )
    )
    with answering(cluster):
        yield cluster
