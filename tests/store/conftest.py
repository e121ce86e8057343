"""What tests of stores share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.store import roles
from tests.store.gateway import Gateway, gateway
from tests.store.pods import pod_with_a_role


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    """STS alone, and a pod with a role there."""
    with gateway() as gate:
        pod_with_a_role(gate, monkeypatch, tmp_path)
        yield gate
