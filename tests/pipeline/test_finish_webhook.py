"""A webhook is told how a run ended, without a secret; one that cannot be told is said last."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.finish.__main__ import main
from components.finish.webhook import checked_webhook
from model_core.errors import UserError
from model_core.variables import WEBHOOK
from tests.pipeline.endings import by_hand, note, noted
from tests.serving import answering


class Room(HTTPServer):
    """Takes messages, and answers ``code``."""

    def __init__(self, code: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.code, self.got = code, list[dict[str, Any]]()


class Visitor(BaseHTTPRequestHandler):
    server: Room

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.code)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""


@contextmanager
def room(code: int = 200) -> Iterator[Room]:
    with answering(Room(code)) as server:
        yield server


def test_a_webhook_is_told_which_step_failed_and_why_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    notes = noted(tmp_path, {"train": note("failed", reason="s3://user:pass@bucket said very-secret")})
    with room() as server:
        monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hidden")
        main(by_hand(tmp_path, "FAILED", "--notes", notes, "--publish-uri", str(tmp_path)))
    (message,) = server.got
    assert message["text"].startswith("mine failed in the step train: ")
    assert (message["run"], message["status"], message["failed_step"]) == ("mine", "failed", "train")
    assert message["source"] == "prices.csv"
    assert message["report"] == f"{tmp_path}/mine/report.html"
    assert not any(secret in json.dumps(message) for secret in ("very-secret", "pass@", "hidden"))


@pytest.mark.parametrize("code", [302, 404])
def test_a_webhook_that_does_not_take_it_is_said_after_all_else_is_done(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with room(code) as server:
        monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hidden")
        with pytest.raises(SystemExit) as ended:
            main(by_hand(tmp_path, "COMPLETE", "--publish-uri", str(tmp_path / "shelf")))
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"the host of {WEBHOOK} answered {code}" in told
    assert "hidden" not in told
    assert (tmp_path / "shelf/mine/run.json").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://chat.example/x",
        "http://chat.example\\@localhost/x",
        "chat.example",
        "ftp://chat.example",
        "https:///x",
        "https://a b/c",
        "https://chat.example:0/x",
    ],
)
def test_a_webhook_that_others_could_read_or_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_webhook(url)
    assert WEBHOOK in str(refused.value)
    assert url not in str(refused.value)
