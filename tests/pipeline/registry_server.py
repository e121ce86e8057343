"""A small HTTP server that behaves as Kubeflow's Model Registry does: its REST API, v1alpha3, as far as models go.

Fields, states, paging, unique names and errors follow ``api/openapi/model-registry.yaml`` of kubeflow/hub.
"""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
PREFIX = "/api/model_registry/v1alpha3"
_FIELDS = {
    "registered_models": {"name", "description", "owner", "state", "externalId", "customProperties"},
    "versions": {
        "name",
        "registeredModelId",
        "description",
        "author",
        "state",
        "externalId",
        "customProperties",
    },
    "artifacts": {
        *("artifactType", "name", "uri", "description", "state", "externalId", "customProperties"),
        *("modelFormatName", "modelFormatVersion", "storageKey", "storagePath", "serviceAccountName"),
        *("modelSourceKind", "modelSourceClass", "modelSourceGroup", "modelSourceId", "modelSourceName"),
    },
}


class ModelRegistry(ThreadingHTTPServer):
    """Keeps models, versions and artifacts; ``prefix`` is the version of the API that it speaks."""

    daemon_threads = True

    def __init__(self, prefix: str = PREFIX) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.prefix = prefix
        self.models: list[Object] = []
        self.versions: list[Object] = []
        self.artifacts: dict[str, list[Object]] = {}
        self.token: str | None = None
        """Who may ask; None: anybody."""
        self.instead: tuple[int, str, bytes] | None = None
        """Status, kind and content of each answer, if it is another server that answers."""
        self.fails_at = ""
        """Requests whose method and path fit are answered with 500."""
        self.page = 2
        """Versions in a list before it is continued."""
        self.posts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Refused(Exception):
    """An answer of another status than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    server: ModelRegistry

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self.server.posts += 1
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: Object | None) -> None:
        server = self.server
        if server.instead is not None:
            return self._send(*server.instead)
        parts = urlsplit(self.path)
        try:
            if server.token is not None and self.headers["Authorization"] != f"Bearer {server.token}":
                raise Refused(401 if self.headers["Authorization"] is None else 403, "who are you")
            if not parts.path.startswith(server.prefix + "/"):
                raise Refused(404, "page not found")
            if server.fails_at and re.search(server.fails_at, f"{self.command} {parts.path}"):
                raise Refused(500, "the database is locked")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = parts.path.removeprefix(server.prefix)
            value = self._found(path, query) if body is None else self._made(path, body)
            self._send(200 if body is None else 201, "application/json", json.dumps(value).encode())
        except Refused as error:
            content = {"code": str(error.status), "message": str(error)}
            self._send(error.status, "application/json", json.dumps(content).encode())

    def _found(self, path: str, query: Object) -> Object:
        server = self.server
        if path == "/registered_models":
            return self._page(server.models, query)
        if path == "/registered_model":
            found = [each for each in server.models if each["name"] == query["name"]]
            if not found:
                raise Refused(404, f"no registered model found for name={query['name']}")
            return found[0]
        if match := re.fullmatch(r"/registered_models/(\d+)/versions", path):
            return self._page([v for v in server.versions if v["registeredModelId"] == match[1]], query)
        if match := re.fullmatch(r"/model_versions/(\d+)/artifacts", path):
            return self._page(server.artifacts.get(match[1], []), query)
        raise Refused(404, "page not found")

    def _page(self, listed: list[Object], query: Object) -> Object:
        size = min(int(query.get("pageSize", "100")), self.server.page)
        start = int(query.get("nextPageToken") or 0)
        items = listed[start : start + size]
        rest = str(start + size) if start + size < len(listed) else ""
        return {"items": items, "nextPageToken": rest, "pageSize": size, "size": len(items)}

    def _made(self, path: str, body: Object) -> Object:
        server = self.server
        kind = path.rpartition("/")[2]
        if unknown := set(body) - _FIELDS[kind]:
            raise Refused(400, f"unknown field {min(unknown)}")
        for value in body.get("customProperties", {}).values():
            if set(value) != {"metadataType", "string_value"}:
                raise Refused(400, "a property is no MetadataValue")
        if kind == "artifacts":
            version = path.split("/")[2]
            if body["artifactType"] != "model-artifact":
                raise Refused(400, "unknown artifactType")
            listed = server.artifacts.setdefault(version, [])
        else:
            listed = server.models if kind == "registered_models" else server.versions
        parent = body.get("registeredModelId")
        if kind == "versions" and parent != path.split("/")[2]:
            raise Refused(400, "registeredModelId differs from the path's")
        if any((each["name"], each.get("registeredModelId")) == (body["name"], parent) for each in listed):
            raise Refused(409, f"{body['name']} already exists")
        made = {"state": "LIVE"} | body
        made |= {"id": str(len(listed) + 1), "createTimeSinceEpoch": str(1_700_000_000_000 + len(listed))}
        listed.append(made)
        return made

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status in {301, 302}:
            self.send_header("Location", "https://sign-in.example/")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""
