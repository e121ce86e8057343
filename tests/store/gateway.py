"""Whoever gives keys for a role, in front of a real S3 server that only such keys open.

It answers as STS does (``AssumeRoleWithWebIdentity``), as a container's agent and as a machine's metadata service. A
request to the store must be signed with keys that it gave, and carry their session token; it is then signed anew with
the real server's keys and passed on.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit, urlunsplit

import urllib3
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3

from pipelines.store import Server
from tests.serving import answering

AGENT_TOKEN = "what-the-agent-wants-to-hear"


@dataclass
class Gateway:
    """What a test says of it, and what it saw."""

    store: Server | None
    identity: str = "a-token-of-the-cluster"
    """The token for which STS gives keys."""
    seconds: float = 3600.0
    """How long the keys it gives hold."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """What STS says instead, one request after the other: status and text."""
    given: dict[str, Credentials] = field(default_factory=dict)
    """By access key."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Parameters of each request for keys."""
    url: str = ""

    def give(self) -> Credentials:
        """New keys."""
        end = datetime.now(UTC) + timedelta(seconds=self.seconds)
        keys = Credentials(secrets.token_hex(8), secrets.token_hex(16), secrets.token_hex(16), end)
        self.given[keys.access_key] = keys
        return keys


@contextmanager
def gateway(store: Server | None = None) -> Iterator[Gateway]:
    """The gateway on the loopback interface, as long as the block runs."""
    state = Gateway(store)

    class Handler(_Handler):
        gate = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    with answering(server):
        yield state


class _Handler(BaseHTTPRequestHandler):
    gate: Gateway

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if query.get("Action") != "AssumeRoleWithWebIdentity":
            self._pass_on()
            return
        self.gate.asked.append(query)
        if self.gate.answers:
            status, text = self.gate.answers.pop(0)
            self._answer(status, text.encode())
        elif query["WebIdentityToken"] != self.gate.identity:
            self._answer(403, b"<Error><Code>InvalidIdentityToken</Code><Message>no such</Message></Error>")
        else:
            keys = self.gate.give()
            self._answer(
                200,
                f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
                f"<AccessKeyId>{keys.access_key}</AccessKeyId>"
                f"<SecretAccessKey>{keys.secret_key}</SecretAccessKey>"
                f"<SessionToken>{keys.session_token}</SessionToken><Expiration>{_end(keys)}</Expiration>"
                "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>".encode(),
            )

    def do_GET(self) -> None:
        if self.path == "/v1/credentials":
            self.gate.asked.append({"agent": self.headers.get("Authorization", "")})
            allowed = self.headers.get("Authorization") == AGENT_TOKEN
            self._answer(200, self._as_json()) if allowed else self._answer(401, b"who asks?")
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self._answer(200, b"the-machines-role")
        elif self.path == "/latest/meta-data/iam/security-credentials/the-machines-role":
            self.gate.asked.append({"machine": self.headers.get("X-aws-ec2-metadata-token", "")})
            self._answer(200, self._as_json())
        else:
            self._pass_on()

    def do_PUT(self) -> None:
        if self.path == "/latest/api/token":
            self._answer(200, b"token-of-the-machine")
        else:
            self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        access_key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        keys = self.gate.given.get(access_key)
        if (
            keys is None
            or self.headers.get("X-Amz-Security-Token") != keys.session_token
            or self._signed_with(keys, self.gate.url)["Authorization"] != self.headers["Authorization"]
        ):
            self._answer(403, b"<Error><Code>ExpiredToken</Code><Message>not these keys</Message></Error>")
            return
        assert self.gate.store is not None
        real = Credentials(self.gate.store.access_key, self.gate.store.secret_key)
        headers = self._signed_with(real, self.gate.store.endpoint)
        answer = urllib3.request(
            self.command, f"{self.gate.store.endpoint}{self.path}", headers=headers, body=body, retries=False
        )
        self._answer(answer.status, answer.data, dict(answer.headers))

    def _signed_with(self, keys: Credentials, endpoint: str) -> dict[str, str]:
        """This request's signed headers, signed with ``keys`` for the server at ``endpoint``."""
        names = self.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed: dict[str, str | list[str] | tuple[str]] = {name: self.headers[name] for name in names}
        if keys.session_token is None:
            signed.pop("x-amz-security-token")
        target = urlsplit(endpoint)
        path = urlsplit(self.path)
        url = urlsplit(urlunsplit((target.scheme, target.netloc, path.path, path.query, "")))
        signed["host"] = target.netloc
        sent = datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        made = sign_v4_s3(
            method=self.command,
            url=url,
            region="us-east-1",
            headers=signed,
            credentials=keys,
            content_sha256=self.headers["X-Amz-Content-Sha256"],
            date=sent,
        )
        return {name: str(value) for name, value in made.items()}

    def _as_json(self) -> bytes:
        keys = self.gate.give()
        return json.dumps(
            {
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret_key,
                "Token": keys.session_token,
                "Expiration": _end(keys),
            }
        ).encode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sent = {name: value for name, value in (headers or {}).items() if name.lower() in _KEPT}
        for name, value in sent.items():
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name in sent}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_KEPT = {"content-length", "content-type", "etag", "last-modified"}


def _end(keys: Credentials) -> str:
    assert keys.expiration is not None
    return keys.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")
