"""No secret of the environment or of a URI shows in a message, or in a file that a command leaves."""

import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from model_core.errors import PgatError, StoreError, UserError, redacted, shown
from model_core.store.locate import open_store
from pipelines.__main__ import main as pipelines
from tests.pipeline.conftest import api  # noqa: F401  a fixture
from tests.pipeline.kubeflow_server import Api, status
from tests.pipeline.test_end_to_end import TINY
from tests.security.hostile_s3 import HostileS3, _Handler, serving

CANARY = re.compile("canary", re.IGNORECASE)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-secret-key",
    "AWS_SESSION_TOKEN": "canary-of-the-session-token",
    "KFP_TOKEN": "canary-of-the-api-token",
    **dict.fromkeys(
        ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://user:canary-of-the-proxy@127.0.0.1:9"
    ),
}
BAD_URIS = [
    "s3://user:canary-password@bucket/prefix",
    "s3://user:canary/password@bucket/prefix",
    "s3://canary-token@bucket/prefix",
    "https://user:canary-password@host/x?X-Amz-Signature=canary",
    "https://host/x?X-Amz-Security-Token=canary-token",
    "gs://bucket/x?token=canary",
    "http://user:canary password@host/x",
    "s3://user:canary password@bucket/x",
]
BAD_VALUES = [
    ("AWS_SESSION_TOKEN", "canary-first-half\ncanary-second-half"),
    ("AWS_SESSION_TOKEN", "canary-first\r\nX-Forged: canary"),
    ("AWS_SECRET_ACCESS_KEY", "canary with a blank"),
    ("AWS_ACCESS_KEY_ID", "canary\x1b[2J"),
    ("AWS_ENDPOINT_URL", "http://user:canary-password@127.0.0.1:9"),
    ("AWS_ENDPOINT_URL", "user:canary-password@127.0.0.1:9"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9/canary?token=canary"),
    ("AWS_ENDPOINT_URL", "http://user:canary@[::1"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:canary"),
    ("AWS_REGION", "canary\nregion"),
]
Told = Callable[[], str]


@pytest.fixture(autouse=True)
def _canaries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Told:
    """What was printed since the last call."""

    def read() -> str:
        out, err = capfd.readouterr()
        return out + err

    return read


def command(step: str, *arguments: str) -> int:
    """Exit code of a step's command line."""
    try:
        import_module(f"components.{step}.__main__").main(list(arguments))
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def canaries_in(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if CANARY.search(path.name) or (
            path.is_file() and CANARY.search(path.read_bytes().decode("latin-1"))
        ):
            yield str(path)


def every_command_with(uri: str, place: Path) -> Iterator[int]:
    """Every place of every command where a URI may stand."""
    out = str(place / "out")
    yield command("prepare_data", "--source", uri, "--dataset", out)
    yield command("prepare_data", "--source", "sample://synthetic", "--dataset", uri)
    yield command("train", "--dataset", uri, "--model", out)
    yield command("train", "--dataset", out, "--model", uri)
    yield command("train", "--dataset", out, "--model", out, "--checkpoint-uri", uri)
    yield command("evaluate", "--dataset", uri, "--model", uri, "--evaluation", out)
    yield command("evaluate", "--dataset", out, "--model", out, "--evaluation", uri)
    yield command("diagnose", "--dataset", uri, "--model", uri, "--findings", out)
    yield command("diagnose", "--dataset", out, "--model", out, "--findings", uri)
    inputs = [f"--{name}={out}" for name in ("dataset", "model", "evaluation", "findings")]
    pages = ["--report", f"{out}/r.html", "--summary", f"{out}/s.md", "--run-name", "a"]
    yield command("report", *inputs, *pages, "--publish-uri", uri)
    yield command("report", *inputs[1:], f"--dataset={uri}", *pages)
    runs = ["--runs", str(place / "runs"), "--name", "a", "--config", TINY]
    yield pipelines(["run", *runs, "--source", uri])
    yield pipelines(["run", *runs, "--source", "sample://synthetic", "--checkpoint-uri", uri])
    yield pipelines(["run", *runs, "--source", "sample://synthetic", "--publish-uri", uri])
    submit = ["submit", "--host", "http://127.0.0.1:9", "--tag", "0123456", "--secret", "keys"]
    for flag in ("--source", "--checkpoint-uri", "--publish-uri", "--pipeline-root", "--host"):
        yield pipelines([*submit, flag, uri])
    yield pipelines(["runs", "show", uri, "--runs", str(place / "runs")])
    yield pipelines(
        ["compile", "--tag", "0123456", "--output", str(place / "p.yaml"), "--set", f"data.layout={uri}"]
    )


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_uri_with_a_password_is_refused_by_every_command_and_repeated_by_none(
    uri: str, tmp_path: Path, told: Told
) -> None:
    for code in every_command_with(uri, tmp_path):
        text = told()
        assert code == 2, text
        assert "Traceback" not in text
        assert not CANARY.search(text), text
    assert not list(canaries_in(tmp_path))


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_word_that_a_command_does_not_know_is_told_without_its_secrets(uri: str, told: Told) -> None:
    for words in (
        ["run", "--sorce", f"{uri}\x1b[2J"],
        ["run", "--runner", uri],
        ["submit", f"--sorce={uri}"],
        ["store", "--port", uri],
        [uri],
    ):
        with pytest.raises(SystemExit) as left:
            pipelines(words)
        text = told()
        assert left.value.code == 2
        assert "error: " in text
        assert not CANARY.search(text), text
        assert "\x1b" not in text
    assert command("train", "--dataset", "a", "--model", "b", "--checkpoint", "c", "--launcher", uri) == 2
    assert not CANARY.search(told())


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_value_that_cannot_be_sent_is_refused_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=name) as caught:
        open_store("s3://bucket/prefix")
    assert not CANARY.search(str(caught.value))
    assert str(caught.value).isprintable()


def test_white_space_around_a_credential_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", " canary-of-the-session-token\n")
    server = HostileS3({"a": b"1"})
    with serving(server, monkeypatch):
        assert open_store("s3://bucket").read("a") == b"1"
    assert {headers["X-Amz-Security-Token"] for _, headers in server.requests} == {
        "canary-of-the-session-token"
    }


@pytest.mark.parametrize("value", ["canary-half\ncanary-half", "canary\u00e9", "canary blank"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_repeated(
    value: str, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setenv("KFP_TOKEN", value)
    assert pipelines(["submit", "--host", "http://127.0.0.1:9", "--tag", "0123456"]) == 2
    text = told()
    assert "KFP_TOKEN holds a character" in text
    assert not CANARY.search(text)


def test_a_compiled_pipeline_refuses_credentials_in_the_stores_url(tmp_path: Path, told: Told) -> None:
    url = "http://user:canary-password@seaweedfs.kubeflow:9000"
    assert (
        pipelines(["compile", "--tag", "0123456", "--output", str(tmp_path / "p.yaml"), "--s3-endpoint", url])
        == 2
    )
    assert not CANARY.search(told())
    assert not (tmp_path / "p.yaml").exists()


def test_what_is_compiled_submitted_and_told_of_it_holds_no_secret(
    tmp_path: Path,
    told: Told,
    api: Api,  # noqa: F811
) -> None:
    assert (
        pipelines(["compile", "--tag", "0123456", "--output", str(tmp_path / "p.yaml"), "--secret", "keys"])
        == 0
    )
    submit = [
        "submit",
        "--host",
        api.url,
        "--tag",
        "0123456",
        "--secret",
        "keys",
        "--source",
        "s3://bucket/t.csv",
    ]
    assert pipelines([*submit, "--checkpoint-uri", "s3://bucket/c"]) == 0
    assert api.tokens == {f"Bearer {ENVIRONMENT['KFP_TOKEN']}"}
    api.fail("GET .*/healthz", status(403))
    assert pipelines(submit) == 2
    assert not CANARY.search(told())
    assert not CANARY.search(json.dumps(api.runs))
    assert not list(canaries_in(tmp_path))


def repeat_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server answer every request with the token it was sent, as the error."""

    def answer(handler: Any) -> None:
        told = handler.headers["X-Amz-Security-Token"]
        handler._answer(403, f"<Error><Code>Denied</Code><Message>{told}</Message></Error>".encode())

    monkeypatch.setattr(_Handler, "do_GET", answer)


def test_a_store_that_repeats_the_token_in_its_answer_gets_it_cut_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repeat_the_token(monkeypatch)
    with serving(HostileS3(), monkeypatch), pytest.raises(StoreError, match="Denied") as caught:
        open_store("s3://bucket").read("a")
    assert not CANARY.search(str(caught.value))


@pytest.mark.slow
@pytest.mark.e2e
def test_a_run_that_fails_at_its_store_leaves_no_secret_in_any_file(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeat_the_token(monkeypatch)
    run = ["run", "--config", TINY, "--source", "sample://synthetic"]
    run += ["--runs", str(tmp_path / "runs"), "--name", "a"]
    with serving(HostileS3(), monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
        assert pipelines([*run, "--checkpoint-uri", "s3://bucket/checkpoints"]) == 2
        assert pipelines(["runs", "show", "a", "--runs", str(tmp_path / "runs")]) == 0
    text = told()
    assert "Denied" in text
    assert not CANARY.search(text)
    assert (tmp_path / "runs/a/run.json").exists()
    assert not list(canaries_in(tmp_path))


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.usefixtures("preloaded")
def test_a_whole_run_with_a_store_leaves_no_secret_in_any_file(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HostileS3()
    run = ["run", "--config", TINY, "--source", "sample://synthetic"]
    run += ["--runs", str(tmp_path / "runs"), "--name", "a"]
    with serving(server, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
        assert pipelines([*run, "--publish-uri", "s3://bucket/shelf"]) == 0
        assert pipelines(["runs", "list", "--runs", str(tmp_path / "runs")]) == 0
        assert pipelines(["runs", "show", "a", "--runs", str(tmp_path / "runs")]) == 0
    text = told()
    assert "report:" in text
    assert not CANARY.search(text)
    assert "shelf/a/report.html" in server.objects
    for key, content in server.objects.items():
        assert not CANARY.search(key + content.decode("latin-1"))
    assert not list(canaries_in(tmp_path))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("s3://user:password@bucket/x is bad", "s3://…@bucket/x is bad"),
        ("s3://user:pass/word@bucket/x", "s3://…@bucket/x"),
        ("see https://host/a?X-Amz-Signature=1 and go", "see https://host/a?… and go"),
        ("s3://user:p@ss@bucket/x", "s3://…@bucket/x"),
        ("s3://user:p@ss/w@rd@bucket/x", "s3://…@bucket/x"),
        ("'http://host/a?token=1', 'http://host/b?token=2'", "'http://host/a?…', 'http://host/b?…'"),
        ("http://host:9000/path, then mail a@b.example", "http://host:9000/path, then mail a@b.example"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("token canary-of-the-session-token end", "token … end"),
    ],
)
def test_userinfo_queries_and_known_secrets_are_cut_out(text: str, left: str) -> None:
    assert redacted(text) == left
    assert str(PgatError(text)) == left
    assert shown(f"{text}\x1b[2J\n") == f"{left}\\x1b[2J\\n"


def test_a_long_text_is_cut_before_a_password_in_it_can_be_halved() -> None:
    for start in range(40, 200, 7):
        text = "x" * start + " s3://user:canary-password@bucket/prefix"
        assert not CANARY.search(str(UserError(f"{text!r}")))
