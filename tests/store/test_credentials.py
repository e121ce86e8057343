"""Keys come from the environment, a file or a role, in this order; those of a role are renewed before they end."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio.credentials.credentials import Credentials

from model_core.errors import StoreError
from model_core.store import roles
from model_core.store.locate import open_store
from pipelines.store import Server, running_server
from tests.security.hostile_s3 import HostileS3
from tests.serving import answering
from tests.store.gateway import AGENT_TOKEN, Gateway, gateway

END = datetime.now(UTC) + timedelta(hours=1)
KEYS = {"access_key": "AK", "secret_key": "SK", "session_token": "T"}
ROLE = "arn:aws:iam::123456789012:role/pgat"
pytestmark = pytest.mark.usefixtures("_nobody")


@pytest.fixture
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no file and no role of the machine that the tests run on."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(roles, "_held", {})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("objects"), "market") as (server, _):
        yield server


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    """STS alone, and a pod with a role there."""
    with gateway() as gate:
        pod_with_a_role(gate, monkeypatch, tmp_path)
        yield gate


def pod_with_a_role(gate: Gateway, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """The variables that the cluster gives such a pod; returns the file with its token."""
    token = folder / "token"
    token.write_text(gate.identity + "\n", encoding="ascii")
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", gate.url)
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    return token


def credentials_file(path: Path, profile: str, server: Server) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"[{profile}]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n",
        encoding="ascii",
    )


def refusal() -> str:
    with pytest.raises(StoreError) as refused:
        open_store("s3://market/x").write("key", b"1")
    return str(refused.value)


@pytest.mark.s3
@pytest.mark.slow
def test_a_pod_with_a_role_reads_and_writes_without_any_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway(server) as gate:
        pod_with_a_role(gate, monkeypatch, tmp_path)
        store = open_store("s3://market/by role")
        store.write("run#1/report.html", b"first")
        (tmp_path / "big").write_bytes(bytes(17 * 1024 * 1024))
        open_store("s3://market/by role").upload("big", tmp_path / "big")
        assert store.read("run#1/report.html") == b"first"
        assert list(store.keys()) == ["big", "run#1/report.html"]
        store.delete("big")
    (asked,) = gate.asked
    assert (asked["RoleArn"], asked["WebIdentityToken"]) == (ROLE, gate.identity)
    assert asked["RoleSessionName"].startswith("pgat-")


@pytest.mark.s3
@pytest.mark.slow
def test_keys_that_end_are_renewed_with_the_token_as_it_is_then(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway(server) as gate:
        token = pod_with_a_role(gate, monkeypatch, tmp_path)
        gate.seconds = 0.0
        store = open_store("s3://market/renewed")
        store.write("a", b"1")
        gate.identity = "the-next-token-of-the-cluster"
        token.write_text(gate.identity, encoding="ascii")
        gate.seconds = 3600.0
        store.write("b", b"2")
        count = len(gate.asked)
        assert list(store.keys()) == ["a", "b"]
    assert len(gate.asked) == count
    tokens = [each["WebIdentityToken"] for each in gate.asked]
    assert tokens[0] == "a-token-of-the-cluster"
    assert tokens[-1] == gate.identity


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


@pytest.mark.parametrize("answer", ["[" * 100_000, "null", '{"Expiration": 5}'])
def test_an_agent_that_says_anything_else_is_told_so(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(HostileS3()) as agent:
        agent.says = (200, [answer.encode()])
        monkeypatch.setenv("AWS_ENDPOINT_URL", agent.url)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/keys")
        assert "its answer holds no keys" in refusal()


def test_an_agent_that_repeats_what_it_was_sent_does_not_make_it_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-of-the-pod")
    with answering(HostileS3()) as agent:
        agent.says = (403, [b"<Code>Bad</Code><Message>canary-of-the-pod is no token</Message>"])
        monkeypatch.setenv("AWS_ENDPOINT_URL", agent.url)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/keys")
        assert "Bad: … is no token" in refusal()
    assert agent.requests[0][1]["Authorization"] == "canary-of-the-pod"


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
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{sts.url}/v1/credentials")
    monkeypatch.setenv(variable, str(tmp_path / "pipe"))
    assert told in refusal()


def test_a_server_that_is_not_there_is_told_in_one_sentence_without_the_token(
    sts: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with caplog.at_level("INFO"):
        message = refusal()
    assert "127.0.0.1:9 gives no keys for the role" in message
    assert "no connection" in message
    assert sts.identity not in message + caplog.text


def test_a_server_that_is_overloaded_is_asked_again(sts: Gateway) -> None:
    sts.answers = [(503, "<Error><Code>SlowDown</Code></Error>"), (429, "")]
    provider = open_store("s3://market/x").client._provider  # type: ignore[attr-defined]
    assert provider.retrieve().access_key in sts.given
    assert len(sts.asked) == 3


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


@pytest.mark.s3
@pytest.mark.slow
def test_the_environment_comes_before_a_file_and_a_file_before_a_role(
    server: Server, sts: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    credentials_file(tmp_path / ".aws" / "credentials", "default", server)
    open_store("s3://market/file").write("a", b"1")
    credentials_file(tmp_path / "others", "wrong", Server("", "", "nobody", "nothing"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "others"))
    monkeypatch.setenv("AWS_PROFILE", "wrong")
    assert "InvalidAccessKeyId" in refusal()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    open_store("s3://market/environment").write("a", b"1")
    assert not sts.asked


@pytest.mark.s3
@pytest.mark.slow
def test_a_file_of_keys_is_read_again_when_a_tool_has_renewed_them(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    file = tmp_path / ".aws" / "credentials"
    credentials_file(file, "default", Server("", "", "ended", "ended"))
    store = open_store("s3://market/renewed-file")
    with pytest.raises(StoreError):
        store.write("a", b"1")
    credentials_file(file, "default", server)
    store.write("a", b"1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "(No such file or directory)"),
        ("[default]\naws_access_key_id = a\n", "gives no keys for the profile 'work'"),
        ("[work]\naws_access_key_id = a\n", "gives no keys for the profile 'work'"),
        ("aws_secret_access_key = canary", "gives no keys for the profile 'work'"),
        (
            "[work]\naws_access_key_id = a\naws_secret_access_key = b\naws_session_token = c d\n",
            "cannot be sent",
        ),
    ],
)
def test_a_file_without_keys_is_named_and_nothing_of_it_repeated(
    text: str | None, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text, encoding="ascii")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "work")
    message = refusal()
    assert str(file) in message
    assert told in message
    assert "canary" not in message


@pytest.mark.s3
@pytest.mark.slow
def test_a_container_and_a_machine_get_the_keys_of_their_role(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway(server) as gate:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", gate.url)
        open_store("s3://market/machine").write("a", b"1")
        (tmp_path / "agent").write_text(AGENT_TOKEN, encoding="ascii")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{gate.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "agent"))
        open_store("s3://market/container").write("a", b"1")
    assert gate.asked == [{"machine": "token-of-the-machine"}, {"agent": AGENT_TOKEN}]


def test_an_agent_that_refuses_is_told_and_one_elsewhere_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gateway() as gate:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{gate.url}/v1/credentials")
        assert "127.0.0.1 gives no keys for this container's role (HTTP 401)" in refusal()
    # A backslash ends the host for one reader of a URL, and belongs to a user's name for another.
    for url in ("http://169.254.170.3/v1/credentials", "http://192.0.2.1\\@localhost/v1/credentials"):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        assert "is neither https:// nor an agent of this machine" in refusal()


def test_a_machine_without_a_role_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal().startswith(
        "s3:// needs credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
    )
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert "(this machine gives none: no connection" in refusal()
