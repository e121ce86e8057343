"""A small HTTP server that speaks the API of Kubeflow Pipelines, and misbehaves as gateways before it do."""

import json
import re
import socket
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
Fault = Callable[["Handler"], None]
_API = "/apis/v2beta1"


class Api(ThreadingHTTPServer):
    """Takes runs; each answers ``states`` in turn when asked how it is, and keeps the last one.

    Args:
        prefix: path below which the API stands; elsewhere a dashboard answers.
    """

    daemon_threads = True

    def __init__(self, states: list[str], prefix: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.states, self.prefix = states, prefix
        self.scheme = "http"
        self.multi_user = False
        self.accepts: set[str] | None = None
        """Values of ``Authorization`` or ``Cookie``; None: anybody's."""
        self.faults: list[tuple[str, Fault]] = []
        """What happens instead of an answer, once each, to requests whose ``METHOD path`` fits the expression."""
        self.experiments: list[Object] = []
        self.runs: list[Object] = []
        self.schedules: list[Object] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.terminated: list[str] = []
        self.tokens: set[str | None] = set()
        """Every ``Authorization`` that came with a POST."""
        self.namespaces: set[str] = set()
        self.started: Callable[[Object], None] = lambda run: None
        """Told of each run."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def fail(self, request: str, *faults: Fault) -> None:
        self.faults += [(request, fault) for fault in faults]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def _serve(self, content: bytes) -> None:
        server = self.server
        parts = urlsplit(self.path)
        for fault in server.faults:
            if re.search(fault[0], f"{self.command} {parts.path}"):
                server.faults.remove(fault)
                return fault[1](self)
        if not parts.path.startswith(server.prefix + _API):
            return page(404)(self)
        who = {self.headers["Authorization"], self.headers["Cookie"]}
        if server.accepts is not None and not who & server.accepts:
            return status(401, "who are you")(self)
        path = parts.path.removeprefix(server.prefix + _API)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        server.namespaces.add(query.get("namespace", ""))
        if self.command == "GET":
            return self.answer(self._found(path))
        server.tokens.add(self.headers["Authorization"])
        if path.endswith(":terminate"):
            server.terminated.append(path.split("/")[-1].partition(":")[0])
            return self.answer({})
        if path.startswith("/pipelines/upload"):
            server.uploads.append((f"{path}?name={query['name'].split('-20')[0]}", content))
            return self.answer({"pipeline_id": "p1", "pipeline_version_id": "v1"})
        return self.answer(self._made(path, json.loads(content)))

    def _found(self, path: str) -> Object:
        if path == "/healthz":
            return {"multi_user": self.server.multi_user}
        if path == "/experiments":
            return {"experiments": self.server.experiments} if self.server.experiments else {}
        if path.startswith("/runs/"):
            states = self.server.states
            state = states.pop(0) if len(states) > 1 else states[0]
            task = {"display_name": "train", "state": state, "error": {"message": "out of memory"}}
            run = {"run_id": path.split("/")[-1], "display_name": "a", "state": state}
            return run | {"run_details": {"task_details": [task]}}
        if path.endswith("/versions"):
            return {"pipeline_versions": [{"pipeline_id": "p1", "pipeline_version_id": "v1"}]}
        return {}

    def _made(self, path: str, body: Object) -> Object:
        if path == "/experiments":
            self.server.experiments.append(body | {"experiment_id": "e1"})
            return self.server.experiments[-1]
        if path == "/recurringruns":
            self.server.schedules.append(body)
            return {"recurring_run_id": "s1"}
        self.server.runs.append(body)
        self.server.started(body)
        return {"run_id": "r1", "display_name": body["display_name"]}

    def answer(self, value: object, code: int = 200, kind: str = "application/json") -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""


def status(code: int, message: str = "upstream") -> Fault:
    """The API's own way to say that something is wrong."""
    return lambda handler: handler.answer({"message": message}, code)


def page(code: int = 200) -> Fault:
    """A web page, such as one to sign in."""
    return lambda handler: handler.answer(
        b"<!doctype html><title>Sign in</title>", code, "text/html; charset=utf-8"
    )


def redirect(place: str) -> Fault:
    """To a page to sign in."""

    def fault(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def reset(handler: Handler) -> None:
    """The connection ends without a word."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def silence(handler: Handler) -> None:
    """Nothing, until the client hangs up."""
    handler.rfile.read(1)
    handler.close_connection = True
