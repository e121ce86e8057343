"""Whoever answers instead of Kubeflow Pipelines' API: one sentence, no traceback, and no secret repeated."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from model_core.web.address import is_readable_on_the_way
from pipelines.__main__ import main as pipelines
from tests.serving import answering

TOKEN = "canary-of-the-api-token"
STEERING = "\x1b]0;owned\x07\x1b[2J"


class Impostor(ThreadingHTTPServer):
    """Gives one answer to everything; with ``redirect`` it sends everybody there instead."""

    daemon_threads = True

    def __init__(self, answer: object = b"", status: int = 200, redirect: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.status, self.redirect = status, redirect
        self.heard: list[str] = []
        """Every header of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Impostor

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.heard += [str(value) for value in self.headers.values()]
        self.send_response(307 if self.server.redirect else self.server.status)
        if self.server.redirect:
            self.send_header("Location", self.server.redirect + self.path)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests need no log."""


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)


def submit(server: Impostor, *flags: str) -> int:
    return pipelines(["submit", "--host", server.url, "--tag", "0123456", *flags])


ANSWERS: dict[str, object] = {
    "a page to sign in": b"<!doctype html><title>Sign in</title>",
    "nothing": b"",
    "null": None,
    "a list": [1],
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "no run": {"experiment_id": "e1"},
    "a run whose id steers": {"experiment_id": "e1", "run_id": f"r{STEERING}"},
    "other kinds": {"experiment_id": [1], "run_id": {"a": 1}, "run_details": 5},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_of_the_apis_is_one_sentence_and_no_run(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(Impostor(ANSWERS[name])) as server:
        assert submit(server, *(["--register"] if name in {"null", "a list"} else [])) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {server.url} ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_server_that_repeats_the_token_and_steers_gets_neither_printed(
    status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with answering(Impostor({"message": f"{STEERING}{TOKEN}"}, status)) as server:
        assert submit(server) == 2
    said = "".join(capfd.readouterr()) + caplog.text
    assert TOKEN not in said
    assert not any(character in said for character in STEERING if not character.isprintable())
    assert "Traceback" not in said


@pytest.mark.parametrize("answer", [None, [1], {"run_details": 5, "state": 7}, {"state": STEERING}], ids=repr)
def test_a_run_is_watched_as_long_as_the_api_answers_for_it(
    answer: object, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(Impostor({"experiment_id": "e1", "run_id": "r1"})) as server:

        def turned(seconds: float) -> None:
            server.content = json.dumps(answer).encode()
            rounds.append(seconds)
            if len(rounds) > 3:
                raise KeyboardInterrupt

        rounds: list[float] = []
        monkeypatch.setattr(time, "sleep", turned)
        assert submit(server, "--wait") in {2, 130}
    out, err = capfd.readouterr()
    assert out == f"run {out.split()[1].rstrip(':')}: {server.url}/#/runs/details/r1\n"
    assert err == "stopped\n" or (err.startswith("error: ") and err.count("\n") == 1)


def test_a_redirect_to_another_server_is_not_followed() -> None:
    with answering(Impostor({"experiment_id": "e1", "run_id": "r1"})) as thief:
        with answering(Impostor(redirect=thief.url)) as server:
            assert submit(server) == 2
        assert f"Bearer {TOKEN}" in server.heard
        assert thief.heard == []


def test_a_redirect_to_what_is_no_address_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Impostor(redirect="http://[nowhere")) as server:
        assert submit(server) == 2
    assert "redirects to something that is no URL, as to a sign-in page" in capsys.readouterr().err


def test_a_token_goes_unencrypted_to_nobody_who_only_looks_like_this_machine() -> None:
    """urllib3 ends a host at a backslash; ``urlsplit`` takes what is before the ``@`` for a user."""
    assert is_readable_on_the_way("http://192.0.2.1\\@localhost/")
    assert not is_readable_on_the_way("http://localhost/")
