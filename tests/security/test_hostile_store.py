"""Whatever a server answers instead of S3, and however much of it: one sentence, and memory that does not grow."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_core.errors import StoreError
from model_core.store import client, s3
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from tests.security.fuzzing import damaged, fuzzed, read_or_refused, seeds
from tests.security.hostile_s3 import BUCKET, HostileS3, serving

ONCE_MORE = PacedRetry(total=1, redirect=False, backoff_factor=0, status_forcelist=(500, 503))
ENTITIES = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
PAGE = (
    b"<ListBucketResult><Name>bucket</Name><Prefix></Prefix><EncodingType>url</EncodingType><IsTruncated>true"
    b"</IsTruncated><NextContinuationToken>next</NextContinuationToken><Contents><Key>key</Key><LastModified>"
    b"2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>1</Size><StorageClass>STANDARD"
    b"</StorageClass></Contents></ListBucketResult>"
)
ANSWERS = {
    "nothing": b"",
    "no XML": b"\x00\xff<<<",
    "half of it": PAGE[:100],
    "a page to sign in": b"<!doctype html><title>Sign in</title>",
    "a bomb of entities": b'<!DOCTYPE l [<!ENTITY a0 "xxxxxxxxxx">' + ENTITIES + b"]><l>&a9;</l>",
    "an entity from a file": b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>',
    "deep elements": b"<a>" * 1_000_000,
    "an object without a key": b"<ListBucketResult><Name>b</Name><Contents></Contents></ListBucketResult>",
    "an unknown encoding": b'<?xml version="1.0" encoding="none"?><a/>',
}
Verb = Callable[[Store, Path], object]
VERBS: dict[str, Verb] = {
    "list": lambda store, folder: list(store.keys()),
    "read": lambda store, folder: store.read("key"),
    "download": lambda store, folder: store.download("key", folder / "file"),
    "write": lambda store, folder: store.write("key", b"1"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    monkeypatch.setattr(client, "_RETRIES", ONCE_MORE)
    with serving(HostileS3(), monkeypatch) as running:
        yield running


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_list_that_is_none_is_one_sentence(server: HostileS3, answer: bytes) -> None:
    server.says = (200, [answer])
    with pytest.raises(StoreError, match="cannot list in s3://bucket") as caught:
        list(open_store(f"s3://{BUCKET}").keys())
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "verb"),
    [(200, "list"), (403, "read"), (500, "download"), (503, "list"), (403, "write"), (302, "read")],
)
def test_an_answer_without_end_is_left_and_not_kept(
    server: HostileS3, status: int, verb: str, tmp_path: Path
) -> None:
    server.says = (status, repeat(b"<a>" + b"x" * 2**20, 200))
    tracemalloc.start()
    try:
        with pytest.raises(StoreError):
            VERBS[verb](open_store(f"s3://{BUCKET}"), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 * client.ANSWER_BYTES
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_list_without_end_is_left(server: HostileS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_MOST_KEYS", 20)
    server.says = (200, [PAGE])
    with pytest.raises(StoreError, match="more than 20 objects in one list"):
        list(open_store(f"s3://{BUCKET}").keys())


def test_a_busy_server_is_asked_again(server: HostileS3) -> None:
    """What replaced urllib3's own repetition, which reads a whole answer before it asks again."""
    answers: Iterable[bytes] = iter([b"<Error><Code>SlowDown</Code><Message>busy</Message></Error>"])
    server.objects["key"] = b"content"
    server.unavailable.add("key")

    class Once(set[str]):
        def __contains__(self, key: object) -> bool:
            return next(iter(answers), None) is not None

    server.unavailable = Once()
    assert open_store(f"s3://{BUCKET}").read("key") == b"content"
    assert [path for path, _ in server.requests] == ["/bucket/key"] * 2


def test_an_object_is_read_as_it_was_written(server: HostileS3) -> None:
    store = open_store(f"s3://{BUCKET}")
    store.write("a/key", b"content")
    assert (store.read("a/key"), list(store.keys())) == (b"content", ["a/key"])


@pytest.fixture(scope="module")
def answering() -> Iterator[HostileS3]:
    with pytest.MonkeyPatch.context() as patch, serving(HostileS3(), patch) as running:
        patch.setattr(client, "_RETRIES", ONCE_MORE)
        yield running


@fuzzed(100)
@given(seed=seeds, status=st.sampled_from([200, 206, 400, 403, 404, 409, 500]))
def test_any_damaged_answer_is_read_or_refused(answering: HostileS3, seed: int, status: int) -> None:
    page = PAGE.replace(b"<IsTruncated>true", b"<IsTruncated>false")
    answering.says = (status, [damaged(page, seed)])
    store = open_store(f"s3://{BUCKET}")
    read_or_refused(lambda: sum(1 for _ in zip(store.keys(), range(5), strict=False)))
    read_or_refused(lambda: store.read("key"))
    read_or_refused(lambda: store.size("key"))
    read_or_refused(lambda: store.write("key", b"1"))
