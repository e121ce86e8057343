"""Whoever gives keys for a role is asked in time; one that gives none is named with its reason, and no token is."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio.credentials.credentials import Credentials

from model_core.store.locate import open_store
from tests.security.hostile_s3 import HostileS3
from tests.serving import answering
from tests.store.gateway import Gateway, gateway
from tests.store.pods import ROLE, container_with_a_role, pod_with_a_role, refusal

END = datetime.now(UTC) + timedelta(hours=1)
KEYS = {"access_key": "AK", "secret_key": "SK", "session_token": "T"}
pytestmark = pytest.mark.usefixtures("nobody")


def test_keys_are_asked_for_again_long_before_they_end_and_used_meanwhile(sts: Gateway) -> None:
    provider = open_store("s3://market/x").client._provider  # type: ignore[attr-defined]
    first = provider.retrieve()
    assert provider.retrieve() == first
    provider._again = 0.0  # five minutes before their end
    sts.answers = [(403, "not now")]
    assert provider.retrieve() == first
    provider._again = 0.0
    assert provider.retrieve() != first
    assert len(sts.asked) == 3


def test_a_server_that_is_overloaded_is_asked_again(sts: Gateway) -> None:
    sts.answers = [(503, "<Error><Code>SlowDown</Code></Error>"), (429, "")]
    provider = open_store("s3://market/x").client._provider  # type: ignore[attr-defined]
    assert provider.retrieve().access_key in sts.given
    assert len(sts.asked) == 3


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (
            403,
            "<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>",
            "HTTP 403: AccessDenied: not",
        ),
        (200, "<html>sign in</html>", "its answer holds no keys"),
        (200, "no XML at all", "its answer holds no keys"),
    ],
)
def test_a_server_that_gives_no_keys_is_named_with_its_reason_and_the_token_is_not(
    status: int, text: str, told: str, sts: Gateway
) -> None:
    sts.answers = [(status, text)]
    message = refusal()
    assert told in message
    assert f"{sts.url.removeprefix('http://')} gives no keys for the role {ROLE}" in message
    assert sts.identity not in message


def test_a_server_that_repeats_the_token_does_not_make_it_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway() as gate:
        gate.identity = "canary" * 200  # as long as real ones
        pod_with_a_role(gate, monkeypatch, tmp_path)
        gate.answers = [(400, f"<Error><Code>Bad</Code><Message>is {gate.identity} yours?</Message></Error>")]
        assert "is … yours?" in (message := refusal())
        assert "canary" not in message


@pytest.mark.parametrize("damaged", ["access_key", "session_token"])
def test_keys_that_cannot_be_sent_are_refused_and_not_repeated(
    damaged: str, sts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a header that cannot be sent the whole stands in the error of Python's client."""
    monkeypatch.setattr(
        sts, "give", lambda: Credentials(**KEYS | {damaged: "canary&#10;canary"}, expiration=END)
    )
    message = refusal()
    assert "its keys hold a character that cannot be sent" in message
    assert "canary" not in message


def test_a_server_that_is_not_there_is_told_in_one_sentence_without_the_token(
    sts: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with caplog.at_level("INFO"):
        message = refusal()
    assert "127.0.0.1:9 gives no keys for the role" in message
    assert "no connection" in message
    assert sts.identity not in message + caplog.text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ROLE_ARN", "", "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "", "AWS_ROLE_ARN is set and AWS_WEB_IDENTITY_TOKEN_FILE is not"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token", "holds no token (No such file or directory)"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/dev/null", "holds no token (it is a device or a pipe, not a file)"),
        ("AWS_ENDPOINT_URL_STS", "", "a role for a store that is not Amazon's needs AWS_ENDPOINT_URL_STS"),
        ("AWS_ENDPOINT_URL_STS", "http://host:port", "AWS_ENDPOINT_URL_STS is not a URL"),
        (
            "AWS_ENDPOINT_URL_STS",
            "http://host/path",
            "AWS_ENDPOINT_URL_STS has more than scheme, host and port",
        ),
    ],
)
def test_a_role_that_is_half_described_is_refused_with_what_is_missing(
    name: str, value: str, told: str, sts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert told in refusal()
    assert not sts.asked


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("", "sts.us-east-1.amazonaws.com"),
    ],
)
def test_a_store_of_amazons_goes_with_the_security_token_service_of_its_region(
    region: str, host: str, sts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")
    monkeypatch.setenv("AWS_REGION", region)
    # What it would say of a failure names whom it asks; the name is looked up nowhere.
    provider = open_store("s3://market/x").client._provider  # type: ignore[attr-defined]
    assert provider._failed("").startswith(host)


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("AWS_SHARED_CREDENTIALS_FILE", "it lacks them, or is not such a file"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "holds no token (it is a device or a pipe, not a file)"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "holds no token (it is a device or a pipe, not a file)"),
    ],
)
def test_a_pipe_in_place_of_a_file_of_keys_is_not_waited_for(
    variable: str, told: str, sts: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    if variable.startswith("AWS_CONTAINER"):
        monkeypatch.delenv("AWS_ROLE_ARN")
        monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
        container_with_a_role(sts.url, monkeypatch)
    monkeypatch.setenv(variable, str(tmp_path / "pipe"))
    assert told in refusal()


@pytest.mark.parametrize("answer", ["[" * 100_000, "null", '{"Expiration": 5}'])
def test_an_agent_that_says_anything_else_is_told_so(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(HostileS3()) as agent:
        agent.says = (200, [answer.encode()])
        container_with_a_role(agent.url, monkeypatch)
        assert "its answer holds no keys" in refusal()


def test_an_agent_that_repeats_what_it_was_sent_does_not_make_it_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-of-the-pod")
    with answering(HostileS3()) as agent:
        agent.says = (403, [b"<Code>Bad</Code><Message>canary-of-the-pod is no token</Message>"])
        container_with_a_role(agent.url, monkeypatch)
        assert "Bad: … is no token" in refusal()
    assert agent.requests[0][1]["Authorization"] == "canary-of-the-pod"


def test_an_agent_that_refuses_is_told_and_one_elsewhere_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway() as gate:
        container_with_a_role(gate.url, monkeypatch)
        told = refusal()
        assert "127.0.0.1 gives no keys for this container's role (HTTP 401)" in told
        assert "AWS_CONTAINER_CREDENTIALS_FULL_URI is as the cluster sets it" in told
    # A backslash ends the host for one reader of a URL, and belongs to a user's name for another.
    for url in ("http://169.254.170.3/v1", "http://192.0.2.1\\@localhost/v1", "http://[::1/v1"):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        assert "is neither https:// nor an agent of this machine" in refusal()
