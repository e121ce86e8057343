"""Whatever a key is called, it is its own object and no other; what a store would take for another name is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.cli import Files
from model_core.errors import StoreError
from model_core.store.locate import check_uri, open_store, read_uri
from model_core.store.probe import refuse_unwritable_object
from pipelines.__main__ import main
from pipelines.store import Server
from tests.store.real import passing_server

BUCKET = "market.data-2026"
NAMES = [
    "run#1",
    "run#2",
    "run?1",
    "run?2",
    "a b",
    "a%20b",
    "a+b",
    "ä/ü",
    "金/😀",
    "a&b=c",
    "~home",
    "'quoted'",
    "trailing /x",
    "a;b,c@d:e",
    "dots.in.name",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real one, whose bucket has dots."""
    with passing_server(tmp_path_factory.mktemp("objects"), BUCKET) as (server, _):
        yield server


@pytest.fixture
def opened(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket's URI; its keys are in the environment."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}"


@pytest.mark.s3
@pytest.mark.slow
def test_objects_of_any_name_are_kept_apart_as_keys_and_as_prefixes(opened: str, tmp_path: Path) -> None:
    for name in NAMES:
        open_store(f"{opened}/{name}").write("report.html", name.encode())
        open_store(f"{opened}/keys").write(name, name.encode())
    for name in NAMES:
        assert list(open_store(f"{opened}/{name}").keys()) == ["report.html"]
        assert read_uri(f"{opened}/{name}/report.html") == name.encode()
        assert open_store(f"{opened}/keys").size(name) == len(name.encode())
        open_store(f"{opened}/keys").download(name, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert sorted(open_store(f"{opened}/keys").keys()) == sorted(NAMES)
    for name in NAMES:
        open_store(f"{opened}/keys").delete(name)
    assert not list(open_store(f"{opened}/keys").keys())


@pytest.mark.s3
@pytest.mark.slow
def test_an_empty_object_that_shows_a_folder_does_not_break_reading_it(opened: str) -> None:
    """Amazon's console and Hadoop make such objects; some servers make a folder of them."""
    root = open_store(opened)
    for key in ("dataset/", "dataset/best/"):
        root.write(key, b"")
    root.write("dataset/best/model.bin", b"1")
    for uri in (f"{opened}/dataset", f"{opened}/dataset/"):
        with Files() as files:
            folder = files.input(uri)
            found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {"best/model.bin"}


@pytest.mark.s3
@pytest.mark.slow
def test_an_output_of_any_name_is_tried_and_left_as_it_was(opened: str) -> None:
    refuse_unwritable_object(f"{opened}/tried/run#1?")
    assert not list(open_store(f"{opened}/tried").keys())


REFUSED = [
    ("s3:/bucket/x", "is neither a path nor a URI; write s3://bucket/prefix"),
    ("s3:bucket/x", "is neither a path nor a URI"),
    ("S3:/bucket", "is neither a path nor a URI"),
    ("file:/tmp/x", "is neither a path nor a URI; write file:///path"),
    ("S3://bucket/x", "starts with S3://"),
    ("s3://bucket//x", "an empty part"),
    ("s3://bucket/x//y", "an empty part"),
    ("s3://bucket//", "an empty part"),
    ("s3://bucket/./x", "an empty part, . or .."),
    ("s3://bucket/x/..", "an empty part, . or .."),
    ("s3://bucket/x\\y", "a backslash"),
    ("s3://bu/x", "is not a bucket name"),
    ("s3://bucket..data/x", "is not a bucket name"),
    ("s3://bucket-/x", "is not a bucket name"),
    ("s3://bu cket/x", "is not a bucket name"),
    ("s3://bucket#1/x", "is not a bucket name"),
    (f"s3://{'b' * 64}/x", "is not a bucket name"),
    ("s3://bucket/x\ny", "contains a control character"),
]


@pytest.mark.parametrize(("uri", "reason"), REFUSED)
def test_a_uri_that_may_mean_another_object_is_refused_before_anything_is_done(
    uri: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=reason):
        check_uri(uri)
    with pytest.raises(StoreError, match=reason):
        open_store(uri)
    for flag in ("--publish-uri", "--checkpoint-uri"):
        assert main(["run", "--source", "sample://synthetic", "--runs", "runs", flag, uri]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1
        assert reason in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "uri", ["s3://bucket/x", "s3://bucket", "s3://b.u-c/", "./s3:/x", "/tmp/x", "x:y", "file:///x"]
)
def test_a_uri_that_is_clear_is_not_refused(uri: str) -> None:
    check_uri(uri)
