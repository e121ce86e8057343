"""Credentials go to the server they are for, encrypted, or not at all."""

from collections.abc import Callable

import pytest

from model_core.errors import StoreError, UserError
from model_core.store.locate import open_store
from model_core.web.address import is_loopback
from pipelines.submit import submit
from tests.pipeline.submissions import submission
from tests.security.hostile_s3 import HostileS3, serving


@pytest.mark.parametrize("verb", ["read", "list", "exists", "write"])
def test_a_server_that_redirects_is_an_error_and_its_target_hears_nothing(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-session")
    thief = HostileS3({"a": b"x"})
    with serving(thief, monkeypatch), serving(HostileS3(redirect=thief.url), monkeypatch):
        store = open_store("s3://bucket")
        actions: dict[str, Callable[[], object]] = {
            "read": lambda: store.read("a"),
            "list": lambda: list(store.keys()),
            "exists": lambda: store.exists("a"),
            "write": lambda: store.write("a", b"1"),
        }
        with pytest.raises(StoreError, match="sends this client elsewhere"):
            actions[verb]()
    assert thief.requests == []


def test_a_token_travels_unencrypted_to_another_machine_only_if_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KFP_TOKEN", "token")
    # An address that no packet is routed to: it is refused before anything is sent.
    with pytest.raises(UserError, match="use https://, or --token-over-http"):
        submit(submission("http://192.0.2.1"))
    with pytest.raises(UserError, match="is not encrypted"):
        submit(submission("http://127.0.0.1.evil.example"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1"])
def test_the_loopback_interface_is_no_network(host: str) -> None:
    assert is_loopback(host)
