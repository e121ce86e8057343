"""Networks that hang, crawl, break and garble: what a store's reader is told, and that it is told in time.

Waits are short ones of the tests; ``benchmarks/slow_stores.py`` measures those of the default settings.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_core.deadlines import Deadline, Limits, within
from model_core.errors import StoreError, StoreTimeoutError
from model_core.store.base import Store
from model_core.store.locate import open_store
from tests.faults.proxy import Cut, Flip, Hang, Proxy, Slow
from tests.security.hostile_s3 import HostileS3, serving

CONTENT = bytes(range(256)) * 4096
SHORT = Limits(
    connect_seconds=0.5,
    read_seconds=0.2,
    total_seconds=0.5,
    least_bytes_per_second=1e6,
    rate_window_seconds=0.3,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    with serving(HostileS3({"a": CONTENT, "b": b"small"}), monkeypatch) as server:
        yield server


@pytest.fixture
def proxy(server: HostileS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.server_port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def store(limits: Limits = SHORT) -> Store:
    with limits.in_force():
        return open_store("s3://bucket")


def test_through_a_proxy_without_a_fault_everything_passes_unchanged(proxy: Proxy, tmp_path: Path) -> None:
    reached = store(Limits())
    assert reached.read("a") == CONTENT
    reached.download("a", tmp_path / "new" / "a")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]
    reached.upload("c", tmp_path / "new" / "a")
    assert reached.read("c") == CONTENT
    assert list(reached.keys()) == ["a", "b", "c"]


VERBS: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, path: store.read("a"),
    "write": lambda store, path: store.write("a", CONTENT),
    "upload": lambda store, path: store.upload("a", path),
    "download": lambda store, path: store.download("a", path),
    "keys": lambda store, path: list(store.keys()),
    "exists": lambda store, path: store.exists("a"),
    "size": lambda store, path: store.size("a"),
    "delete": lambda store, path: store.delete("a"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_never_answers_is_given_up_by_every_verb(
    verb: str, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    proxy.fault = Hang()
    with pytest.raises(StoreTimeoutError, match=r"in s3://bucket: .*raise store\.\w+_seconds"):
        VERBS[verb](store(), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_connection_that_was_good_and_then_hangs_is_given_up_too(proxy: Proxy) -> None:
    reached = store()
    assert reached.read("b") == b"small"
    proxy.fault = Hang()
    with pytest.raises(StoreTimeoutError):
        reached.read("b")
    proxy.fault = None
    assert reached.read("b") == b"small"


@pytest.mark.parametrize("verb", ["read", "write", "upload", "download"])
def test_a_transfer_that_crawls_is_given_up_and_the_sentence_names_rate_object_and_setting(
    verb: str, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    # So that only the rate can end it.
    patient = Limits(
        read_seconds=60.0,
        total_seconds=600.0,
        least_bytes_per_second=1e6,
        rate_window_seconds=0.3,
    )
    proxy.fault = Slow(bytes_per_tick=1000, tick_seconds=0.01)
    with pytest.raises(StoreTimeoutError) as told:
        VERBS[verb](store(patient), tmp_path / "file")
    said = str(told.value)
    assert said.startswith(("cannot read a in s3://bucket: ", "cannot write a in s3://bucket: "))
    assert re.search(r"[\d,]+ bytes/s over the last \d+ s are too slow", said)
    assert "store.least_bytes_per_second (1,000,000)" in said


def test_a_transfer_that_is_slow_but_fast_enough_may_take_longer_than_the_total(
    proxy: Proxy, tmp_path: Path
) -> None:
    lasting = Limits(total_seconds=0.1, least_bytes_per_second=1000.0, rate_window_seconds=0.1)
    proxy.fault = Slow(bytes_per_tick=2**16, tick_seconds=0.02)
    assert store(lasting).read("a") == CONTENT


def test_the_end_of_a_run_cuts_short_what_it_still_asks(proxy: Proxy) -> None:
    proxy.fault = Hang()
    reached = store(Limits())
    with (
        within(Deadline.after(0.2)),
        within(Deadline.after(600.0)),
        pytest.raises(StoreTimeoutError, match="the time for the end of the run is over"),
    ):
        reached.delete("a")
    with within(Deadline.after(0.0)), pytest.raises(StoreTimeoutError):
        reached.exists("a")
    proxy.fault = None
    assert reached.exists("a")


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("verb", ["read", "download"])
def test_half_an_object_is_never_taken_for_the_whole(
    verb: str, reset: bool, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fault = Cut(len(CONTENT) // 2, reset)
    with pytest.raises(StoreError, match="check AWS_ENDPOINT_URL and the network"):
        VERBS[verb](store(Limits()), tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_flipped_bit_passes_the_store_whose_readers_compare_hashes(proxy: Proxy) -> None:
    proxy.fault = Flip(at_byte=len(CONTENT) // 2)
    assert sum(a != b for a, b in zip(store(Limits()).read("a"), CONTENT, strict=True)) == 1


def test_a_server_that_asks_for_a_long_pause_is_not_obeyed_beyond_the_total(server: HostileS3) -> None:
    server.unavailable, server.retry_after = {"a"}, "86400"
    with pytest.raises(StoreTimeoutError):
        store().read("a")
