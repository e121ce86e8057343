"""Pods and containers that have a role, and no keys."""

from pathlib import Path

import pytest

from model_core.errors import StoreError
from model_core.store.locate import open_store
from tests.store.gateway import Gateway

ROLE = "arn:aws:iam::123456789012:role/pgat"


def pod_with_a_role(gate: Gateway, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The variables that the cluster gives such a pod, and the file ``token`` with its token."""
    token = folder / "token"
    token.write_text(gate.identity + "\n", encoding="ascii")
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", gate.url)
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))


def container_with_a_role(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a container whose store and agent are at ``url``."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")


def refusal() -> str:
    """The error of a store that nobody gives keys for."""
    with pytest.raises(StoreError) as refused:
        open_store("s3://market/x").write("key", b"1")
    return str(refused.value)
