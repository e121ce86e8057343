"""Every store keeps the same promises: a folder, and two real S3 servers of different code through the real client."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from minio import Minio

from model_core.errors import OversizedError, StoreError
from model_core.store import local
from model_core.store.base import Store
from model_core.store.local import LocalStore
from model_core.store.locate import open_store, read_uri
from model_core.store.together import together
from pipelines.store import Server
from tests.conftest import MOTO
from tests.faults.proxy import Cut, Proxy
from tests.programs import program_serving
from tests.store.real import passing_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with passing_server(tmp_path_factory.mktemp("objects"), "mlpipeline") as (server, _):
        yield server


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of an S3 server in Python; it takes any keys."""
    folder = tmp_path_factory.mktemp("moto")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}

    def command(port: int) -> list[str]:
        return [str(MOTO), "--host", "127.0.0.1", "--port", str(port)]

    with program_serving(command, folder, "/moto-api/", environment) as port:
        Minio(
            f"127.0.0.1:{port}", access_key="any", secret_key="any", secure=False, region="us-east-1"
        ).make_bucket("mlpipeline")
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }


@pytest.fixture(
    params=[
        "folder",
        pytest.param("seaweedfs", marks=[pytest.mark.s3, pytest.mark.slow]),
        pytest.param("moto", marks=[pytest.mark.moto, pytest.mark.slow]),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    match request.param:
        case "seaweedfs":
            variables = request.getfixturevalue("server").environment()
        case "moto":
            variables = request.getfixturevalue("moto")
        case _:
            return open_store(str(tmp_path / "objects"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://mlpipeline/{tmp_path.name}")


def test_what_was_written_is_read_back_and_can_be_replaced(store: Store) -> None:
    store.write("runs/a/report.html", b"first")
    store.write("runs/a/report.html", "zweite Fassung: Ä".encode())
    assert store.read("runs/a/report.html").decode() == "zweite Fassung: Ä"
    assert store.exists("runs/a/report.html")
    assert not store.exists("runs/a")


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("a/b", ["a/b", "a/bc/d"]),
        ("a/bc/", ["a/bc/d"]),
        ("a/b/", []),
        ("nowhere/", []),
        ("../", []),
        ("/", []),
    ],
)
def test_keys_are_listed_by_how_they_start(prefix: str, keys: list[str], store: Store) -> None:
    for key in ("a/b", "a/bc/d", "other"):
        store.write(key, b"1")
    assert list(store.keys(prefix)) == keys


def test_a_folder_looks_only_where_keys_can_start_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root may be that of the disk, where a registry says that a model lies."""
    for folder in ("best", "elsewhere", "outside"):
        (tmp_path / folder).mkdir()
    (tmp_path / "outside/file").write_bytes(b"1")
    (tmp_path / "elsewhere/linked").symlink_to(tmp_path / "outside")
    looked: list[Path] = []

    def look(folder: Path) -> list[Path]:
        looked.append(folder)
        return []

    monkeypatch.setattr(local, "files_below", look)
    assert list(LocalStore(tmp_path).keys("best/")) == []
    assert looked == [tmp_path / "best"]
    monkeypatch.undo()
    assert list(LocalStore(tmp_path).keys("elsewhere/linked/")) == []


def test_files_travel_unchanged_and_folders_are_made(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    # Above the size at which the S3 client sends several parts.
    source.write_bytes(os.urandom(17 * 1024 * 1024))
    store.upload("models/big.bin", source)
    store.download("models/big.bin", tmp_path / "new" / "folder" / "big.bin")
    assert (tmp_path / "new" / "folder" / "big.bin").read_bytes() == source.read_bytes()


def test_keys_are_listed_sorted_and_by_prefix(store: Store) -> None:
    for key in ("b/2", "a/1", "b/1", "ba"):
        store.write(key, b"x")
    assert list(store.keys()) == ["a/1", "b/1", "b/2", "ba"]
    assert list(store.keys("b/")) == ["b/1", "b/2"]
    assert list(store.keys("c")) == []


def test_what_is_not_there_is_an_error_to_read_and_none_to_delete(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as unread:
        store.read("nothing")
    with pytest.raises(StoreError) as not_fetched:
        store.download("nothing", tmp_path / "copy")
    for refusal in (unread.value, not_fetched.value):
        assert (refusal.uri, refusal.key) == (store.uri, "nothing")
    assert not (tmp_path / "copy").exists()
    store.delete("nothing")
    store.write("something", b"x")
    store.delete("something")
    assert not store.exists("something")


@pytest.mark.parametrize(
    "key", ["run#1/a", "a?b=c", "two words", "Größe/été", "100%20/b", "a+b&c;d", "a.b/..c"]
)
def test_keys_of_any_characters_stay_apart(store: Store, tmp_path: Path, key: str) -> None:
    store.write("run", b"another")
    store.write(key, b"its own")
    assert store.read(key) == b"its own"
    assert sorted(store.keys()) == sorted(["run", key])
    store.download(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"its own"
    store.delete(key)
    assert list(store.keys()) == ["run"]


def test_a_list_goes_on_beyond_the_pages_of_a_server(store: Store) -> None:
    """A server lists a thousand at a time."""
    keys = [f"many/{number:04}" for number in range(1_003)]
    together(lambda key: store.write(key, b"x"), keys)
    assert list(store.keys("many/")) == keys


@pytest.mark.slow
@pytest.mark.parametrize(
    "maker", [pytest.param("server", marks=pytest.mark.s3), pytest.param("moto", marks=pytest.mark.moto)]
)
def test_a_download_that_breaks_goes_on_where_it_was_and_not_for_ever(
    maker: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = request.getfixturevalue(maker)
    variables = made.environment() if isinstance(made, Server) else made
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    uri, content = f"s3://mlpipeline/{tmp_path.name}", os.urandom(3_000_000)
    open_store(uri).write("large", content)
    server = urlsplit(variables["AWS_ENDPOINT_URL"])
    assert server.hostname is not None
    assert server.port is not None
    with Proxy(server.hostname, server.port, Cut(1_200_000)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        open_store(uri).download("large", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == content
        assert proxy.connections >= 3
        proxy.fault = Cut(100_000, reset=True)
        with pytest.raises(StoreError, match="cannot read large"):
            open_store(uri).download("large", tmp_path / "never")
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("gs://bucket/x", "starts with gs://"),
        ("s3:///x", "names no bucket"),
    ],
)
def test_a_uri_that_cannot_work_is_refused_with_the_remedy(uri: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as refusal:
        open_store(uri)
    assert refusal.value.uri == uri
    with pytest.raises(StoreError):
        read_uri(uri)


def test_a_name_that_leads_out_of_a_store_is_refused_with_the_store_and_the_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refusal:
        open_store(str(tmp_path)).read("../secret")
    assert (refusal.value.uri, refusal.value.key) == (str(tmp_path), "../secret")


def test_an_object_beyond_what_is_read_is_refused_with_its_key(store: Store) -> None:
    store.write("large", b"12345")
    with pytest.raises(OversizedError) as refusal:
        store.read("large", max_bytes=4)
    assert (refusal.value.uri, refusal.value.key) == (store.uri, "large")


@pytest.mark.s3
@pytest.mark.slow
def test_the_local_server_turns_strangers_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right keys nothing can be read or written, and the reason is told in one sentence."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a guess")
    with pytest.raises(StoreError):
        open_store("s3://mlpipeline/x").write("key", b"x")
