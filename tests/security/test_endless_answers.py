"""No server keeps its reader for ever, nor fills the memory: a store, the local store."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from model_core.errors import StoreError
from model_core.store import client as store_client
from model_core.store import s3
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from pipelines.store_doors import _status
from tests.security.endless import ENDLESS, speaking

SMALL = 2**20


LINES = {"chunks of one byte", "trailers", "headers", "words before the answer"}
"""What comes as many short lines, none of which is kept: counting their memory takes long."""


@contextmanager
def memory_bounded(what: str = "") -> Iterator[None]:
    if what in LINES:
        yield
        return
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 30 * SMALL
    finally:
        tracemalloc.stop()


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret-of-the-store"}.items():
        monkeypatch.setenv(name, value)
    for module in (s3, store_client):
        monkeypatch.setattr(module, "ANSWER_BYTES", SMALL)
    once = PacedRetry(total=0, redirect=False, backoff_factor=0, status_forcelist=(500,))
    monkeypatch.setattr(store_client, "_RETRIES", once)


@pytest.mark.parametrize("verb", ["list", "read", "write"])
@pytest.mark.parametrize("what", ENDLESS)
def test_a_store_is_left_when_it_does_not_end(what: str, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking(ENDLESS[what]) as server, memory_bounded(what):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = open_store("s3://bucket")
        with pytest.raises(StoreError, match=r"cannot .* in s3://bucket"):
            {
                "list": lambda: list(store.keys()),
                "read": lambda: store.read("key", SMALL),
                "write": lambda: store.write("key", b"1"),
            }[verb]()


@pytest.mark.parametrize("what", ["content", "headers", "words before the answer", "trailers"])
def test_a_door_that_talks_without_end_is_closed(what: str) -> None:
    """Its content is of no interest; only what is said before it has to end."""
    with speaking(ENDLESS[what]) as server, memory_bounded(what):
        if what in {"content", "trailers"}:
            assert _status("GET", f"{server.url}/", None, None) == 200
        else:
            with pytest.raises(urllib3.exceptions.HTTPError):
                _status("GET", f"{server.url}/", None, None)
