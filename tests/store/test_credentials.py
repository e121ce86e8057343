"""Keys come from the environment, a file or a role, in this order; those of a role are renewed before they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.errors import StoreError
from model_core.store.locate import open_store
from pipelines.store import Server
from tests.store.gateway import AGENT_TOKEN, Gateway, gateway
from tests.store.pods import ROLE, container_with_a_role, pod_with_a_role, refusal
from tests.store.real import passing_server

pytestmark = pytest.mark.usefixtures("nobody")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with passing_server(tmp_path_factory.mktemp("objects"), "market") as (server, _):
        yield server


@pytest.fixture
def gate(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    """A real store that the keys of a pod's role open, and such a pod."""
    with gateway(server) as gate:
        pod_with_a_role(gate, monkeypatch, tmp_path)
        yield gate


def credentials_file(path: Path, profile: str, server: Server) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"[{profile}]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n",
        encoding="ascii",
    )


@pytest.mark.s3
@pytest.mark.slow
def test_a_pod_with_a_role_reads_and_writes_without_any_key(gate: Gateway, tmp_path: Path) -> None:
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
def test_keys_that_end_are_renewed_with_the_token_as_it_is_then(gate: Gateway, tmp_path: Path) -> None:
    gate.seconds = 0.0
    store = open_store("s3://market/renewed")
    store.write("a", b"1")
    gate.identity = "the-next-token-of-the-cluster"
    (tmp_path / "token").write_text(gate.identity, encoding="ascii")
    gate.seconds = 3600.0
    store.write("b", b"2")
    count = len(gate.asked)
    assert list(store.keys()) == ["a", "b"]
    assert len(gate.asked) == count
    tokens = [each["WebIdentityToken"] for each in gate.asked]
    assert tokens[0] == "a-token-of-the-cluster"
    assert tokens[-1] == gate.identity


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
        container_with_a_role(gate.url, monkeypatch)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "agent"))
        open_store("s3://market/container").write("a", b"1")
    assert gate.asked == [{"machine": "token-of-the-machine"}, {"agent": AGENT_TOKEN}]


def test_a_machine_without_a_role_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal().startswith(
        "s3:// needs credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
    )
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert "(this machine gives none: no connection" in refusal()
