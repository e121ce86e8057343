"""No server keeps its reader for ever, nor fills the memory: a store, the local store, Kubeflow's API."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import urllib3

from model_core.errors import StoreError, UnavailableError
from model_core.store import client as store_client
from model_core.store import s3
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from model_core.web import connection
from model_core.web.connection import NotTheApiError
from pipelines.kubeflow.api import Api
from pipelines.kubeflow.watch import watch
from pipelines.store_doors import _status
from tests.security.endless import ENDLESS, SLOW, speaking

SMALL, TINY = 2**20, 2**16


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
    monkeypatch.setattr(connection, "_ANSWER_BYTES", TINY)
    once = PacedRetry(total=0, redirect=False, backoff_factor=0, status_forcelist=(500,))
    monkeypatch.setattr(store_client, "_RETRIES", once)


@pytest.mark.parametrize("verb", ["list", "read", "write"])
@pytest.mark.parametrize("what", ENDLESS)
def test_a_store_is_left_when_it_does_not_end(what: str, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking(ENDLESS[what]) as server, memory_bounded(what):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = open_store("s3://bucket")
        verbs: dict[str, Callable[[], object]] = {
            "list": lambda: list(store.keys()),
            "read": lambda: store.read("key", SMALL),
            "write": lambda: store.write("key", b"1"),
        }
        with pytest.raises(StoreError, match=r"cannot .* in s3://bucket"):
            verbs[verb]()


@pytest.mark.parametrize("what", ["content", "headers", "words before the answer", "trailers"])
def test_a_door_that_talks_without_end_is_closed(what: str) -> None:
    """Its content is of no interest; only what is said before it has to end."""
    with speaking(ENDLESS[what]) as server, memory_bounded(what):
        if what in {"content", "trailers"}:
            assert _status("GET", f"{server.url}/", None, None) == 200
        else:
            with pytest.raises(urllib3.exceptions.HTTPError):
                _status("GET", f"{server.url}/", None, None)


NO_HTTP = {"the length of a chunk", "one header", "headers", "the first line"}
"""What Python's own reader of HTTP ends at its longest line or its 100th header, before anything of it is counted."""


@pytest.mark.parametrize("what", ENDLESS)
def test_an_api_is_left_when_it_does_not_end(what: str) -> None:
    """The sentence names the host, and the limit where that ended it."""
    with (
        speaking(ENDLESS[what]) as server,
        memory_bounded(what),
        pytest.raises(StoreError, match=f"^(cannot reach )?{server.url} ") as caught,
    ):
        Api(server.url).run("r1")
    if what not in NO_HTTP:
        assert isinstance(caught.value, NotTheApiError)
        assert f"more than {TINY:,} bytes" in str(caught.value)


@pytest.mark.parametrize("what", SLOW)
def test_an_api_that_drips_is_left_when_the_time_for_an_answer_is_over(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LIMITS", replace(connection._LIMITS, total_seconds=0.25))
    with (
        speaking(SLOW[what]) as server,
        pytest.raises(UnavailableError, match=rf"{server.url} .* within 0\.25 s"),
    ):
        Api(server.url).run("r1")


def test_who_waits_for_a_run_leaves_what_does_not_end_at_once() -> None:
    with speaking(ENDLESS["content"]) as server, pytest.raises(StoreError, match="pipelines follow r1"):
        watch(Api(server.url), "r1", say=lambda line: pytest.fail(line), poll_seconds=0.0)


def test_who_waits_for_a_run_is_told_once_that_the_answer_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LIMITS", replace(connection._LIMITS, total_seconds=0.1))
    drips = [1, 2, 3]
    told: list[str] = []

    def pieces() -> Iterable[bytes]:
        return SLOW["content, a byte now and then"]() if drips and drips.pop() else ENDLESS["content"]()

    with speaking(pieces) as server, pytest.raises(StoreError, match="pipelines follow r1"):
        watch(Api(server.url), "r1", say=told.append, poll_seconds=0.0)
    assert [line.strip().partition(";")[0] for line in told] == [
        f"{server.url} did not answer in full within 0.1 s"
    ]
    assert not drips
