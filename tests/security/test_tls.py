"""A server over TLS has to show a certificate of an authority that this machine, or ``SSL_CERT_FILE``, names."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.errors import StoreError
from model_core.store.locate import open_store
from pipelines.store_tls import write_certificate
from tests.security.hostile_s3 import HostileS3, serving

READ = "from model_core.store.locate import open_store; print(open_store('s3://bucket').read('key').decode())"


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
    with pytest.raises(StoreError, match=r"(?i)certificate"):
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
