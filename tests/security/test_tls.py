"""A server over TLS has to show a certificate of an authority that this machine, or ``SSL_CERT_FILE``, names."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from model_core.errors import StoreError
from model_core.store import client as store_client
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from pipelines.kubeflow.api import Api
from pipelines.store_tls import write_certificate
from tests.security.hostile_s3 import HostileS3, serving

READ = "from model_core.store.locate import open_store; print(open_store('s3://bucket').read('key').decode())"


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_client, "_RETRIES", PacedRetry(total=0))


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    """A store whose certificate an authority of this test signed."""
    write_certificate(tmp_path)
    server = HostileS3({"key": b"content"})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server, monkeypatch) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url.replace("http:", "https:"))
        yield running


def test_a_store_with_an_unknown_certificate_gets_neither_keys_nor_a_request(private: HostileS3) -> None:
    with pytest.raises(StoreError, match=r"certificate of the server .* let SSL_CERT_FILE name"):
        open_store("s3://bucket").read("key")
    assert private.requests == []


@pytest.mark.slow
def test_a_private_authority_is_named_by_a_variable(private: HostileS3, tmp_path: Path) -> None:
    """OpenSSL reads it when a process begins."""
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env=os.environ | {"SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "content\n", done.stderr


def no_file_of_certificates(kind: str, folder: Path) -> Path:
    path = folder / kind
    match kind:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "an empty file":
            path.touch()
        case "a damaged certificate":
            path.write_text("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", encoding="ascii")
        case "other bytes":
            path.write_bytes(b"\0\1\2" * 1000)
    return path


@pytest.mark.parametrize(
    "kind", ["nothing", "a folder", "a pipe", "an empty file", "a damaged certificate", "other bytes"]
)
@pytest.mark.parametrize("who", ["store", "api"])
def test_a_variable_that_names_no_certificates_is_told_by_its_name(
    who: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every certificate would be called untrusted, whatever the file's fault is, and a pipe be waited for."""
    for name, value in {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret-of-the-store"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(no_file_of_certificates(kind, tmp_path)))
    for scheme, fits in {"https": False, "http": True}.items():
        url = f"{scheme}://127.0.0.1:9"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with nullcontext() if fits else pytest.raises(StoreError, match=f"^SSL_CERT_FILE names .*/{kind}'"):
            open_store("s3://bucket") if who == "store" else Api(url)


def test_a_server_without_tls_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(HostileS3({"key": b"content"}), monkeypatch) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url.replace("http:", "https:"))
        with pytest.raises(StoreError, match=r"does not speak TLS .* whether AWS_ENDPOINT_URL has http"):
            open_store("s3://bucket").read("key")
