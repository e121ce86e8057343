"""Whatever a store or a manifest calls its objects, nothing is written or read outside the folder for them."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cli import Files
from components.train.trainjob import _fetch
from model_core.artifacts import MANIFEST, open_artifact, write_manifest
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, SETTINGS, WEIGHTS, verify_checkpoint
from model_core.checkpoints.records import fetch_newest
from model_core.config.data import DataSettings
from model_core.data.reading.sources import read_source
from model_core.errors import CheckpointError, PgatError, StoreError, UserError
from model_core.store.local import LocalStore
from model_core.store.locate import open_store, read_uri
from model_core.store.names import contained
from tests.security.hostile_s3 import HostileS3, serving

NAMES = [
    "/etc/x", "../x", "a/../../x", "a//x", "", ".", "..", "a/", "./x", "a\\..\\x", "a\0b", "a\nb",
    "\x1b[2Jx", "a\u202eb", None, 5,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_may_lead_out_of_the_folder_is_refused(name: object, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is read or written there") as caught:
        contained(tmp_path, name)
    assert str(caught.value).isprintable()


LONG = ["x" * 256, "x" * 5_000, "a/" * 3_000 + "b", "\u00e9" * 200]


@pytest.mark.parametrize("name", LONG)
def test_a_name_longer_than_a_disk_takes_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {"sha256": "0" * 64, "size": 1}
    for folder, manifest in (("model", MANIFEST), ("last", CHECKPOINT_MANIFEST)):
        (tmp_path / folder).mkdir()
        named = {name: record} | dict.fromkeys((WEIGHTS, SETTINGS), record)
        content = json.loads(hostile_manifest(name, b"")) | {"files": named}
        (tmp_path / folder / manifest).write_text(json.dumps(content))
    store = LocalStore(tmp_path)
    for use in (
        lambda: open_artifact(tmp_path / "model", producer="train"),
        lambda: verify_checkpoint(tmp_path / "last"),
        lambda: store.write(name, b"1"),
        lambda: store.read(name),
        lambda: store.upload(name, tmp_path / "model" / MANIFEST),
    ):
        with pytest.raises(UserError) as caught:
            use()
        assert len(str(caught.value)) < 3_000
    server = HostileS3({f"dataset/{name}": b"planted"})
    with serving(server, monkeypatch), Files() as files, pytest.raises(StoreError):
        files.input("s3://bucket/dataset")


@given(st.text(alphabet=st.sampled_from("./\\a\0é"), max_size=8))
def test_a_name_that_is_accepted_leads_into_the_folder(name: str) -> None:
    root = Path("/nowhere/folder")
    try:
        path = contained(root, name)
    except StoreError:
        return
    assert path.resolve().is_relative_to(root)
    assert path.resolve() != root


def test_a_link_that_leads_out_of_the_folder_is_refused_and_not_listed(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.write_text("secret")
    (root / "link").symlink_to(secret)
    (root / "circle").symlink_to(root / "circle")
    for name in ("link", "circle"):
        with pytest.raises(StoreError):
            LocalStore(root).read(name)
    assert list(LocalStore(root).keys()) == []
    (root / "file").write_text("x")
    manifest = write_manifest(root, producer="train", settings={})
    assert "link" in manifest.files
    with pytest.raises(StoreError, match="leads out of"):
        open_artifact(root, producer="train")


@pytest.mark.parametrize(
    "uri", ["file:///tmp/a%00b/x.csv", "file:///tmp/%00", "file://host/etc/passwd", "file://%00/x", "a\0b"]
)
def test_a_uri_of_a_file_that_no_machine_or_another_one_has_is_refused(uri: str, tmp_path: Path) -> None:
    for use in (read_uri, open_store, lambda uri: read_source(uri, DataSettings())):
        with pytest.raises(UserError):
            use(uri)
    with Files() as files:
        for path_of in (files.input, files.output):
            with pytest.raises(StoreError, match="cannot be resolved"):
                path_of(uri)


def test_a_name_with_a_percent_sign_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a%00b").write_text("x")
    assert open_store(str(tmp_path)).read("a%00b") == b"x"


@pytest.mark.parametrize("key", ["/outside", "../outside", "a/../../outside"])
def test_an_input_from_a_hostile_store_writes_nothing_outside_its_folder(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    hostile = key.replace("/outside", str(outside)) if key.startswith("/") else key
    server = HostileS3({f"dataset/{hostile}": b"planted", "dataset/manifest.json": b"{}"})
    with serving(server, monkeypatch), Files() as files, pytest.raises(StoreError, match="lead out of"):
        files.input("s3://bucket/dataset")
    assert not outside.exists()


def test_an_empty_object_that_stands_for_a_folder_is_no_input_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HostileS3({"dataset/": b"", "dataset/sub/": b"", "dataset/sub/file": b"content"})
    with serving(server, monkeypatch), Files() as files:
        folder = files.input("s3://bucket/dataset")
        assert [p.name for p in folder.rglob("*") if p.is_file()] == ["file"]


def hostile_manifest(name: str, content: bytes) -> bytes:
    record = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return json.dumps(
        {
            "schema_version": 1,
            "producer": "train",
            "settings": {},
            "files": {name: record},
            "code_version": "x",
            "git_commit": None,
            "versions": {},
            "seed": None,
            "inputs": {},
            "created_at": "2026-01-01",
        }
    ).encode()


def test_a_trainjobs_manifest_names_no_file_outside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    objects = {
        f"run/model/{MANIFEST}": hostile_manifest(str(outside), b"planted"),
        f"run/model/{outside}": b"planted",
    }
    with (
        serving(HostileS3(objects), monkeypatch),
        pytest.raises(StoreError, match="lead out of"),
    ):
        _fetch(open_store("s3://bucket/run"), tmp_path / "model")
    assert not outside.exists()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["../secret", "/secret"])
def test_a_manifest_cannot_vouch_for_a_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    name = name if name.startswith("..") else str(tmp_path / "secret")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(hostile_manifest(name, b"secret"))
    with pytest.raises(StoreError, match="lead out of"):
        open_artifact(folder, producer="train")


def test_a_checkpoint_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    record = {"sha256": hashlib.sha256(b"secret").hexdigest(), "size": 6}
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / CHECKPOINT_MANIFEST).write_text(json.dumps({"files": {"../secret": record}}))
    with pytest.raises(CheckpointError):
        verify_checkpoint(tmp_path / "last")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a//outside"])
def test_a_mirrored_checkpoint_writes_no_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    store, folder = LocalStore(tmp_path / "store"), tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    digest = hashlib.sha256(b"planted").hexdigest()
    store.write(f"blobs/{digest}", b"planted")
    name = str(tmp_path / "outside") if name.startswith("/") else name
    record = {"schema_version": 1, "epoch": 1, "step": 0, "files": {name: {"sha256": digest, "size": 7}}}
    store.write("checkpoints/000001-00000000.json", json.dumps(record).encode())
    with pytest.raises(PgatError, match="none of the 1 checkpoints"):
        fetch_newest(store, folder)
    assert list(tmp_path.rglob("*outside*")) == []
