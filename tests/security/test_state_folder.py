"""What waits to be sent to a store: nobody else can put anything there, and what was damaged is made again."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from components.outbox import outbox
from components.train.worker import work
from components.work import WORK_VARIABLE, named_folder
from model_core.artifacts import MANIFEST, write_manifest
from model_core.data.dataset import open_manifest
from model_core.errors import StoreError, UploadError
from tests.security.hostile_s3 import HostileS3, serving
from tests.training.cluster import FakeCluster
from tests.training.prepared import write_tiny_dataset
from tests.training.trainjobs import by_trainer, on, sent_job

URI = "s3://bucket/out"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where unfinished work is kept."""
    monkeypatch.delenv(WORK_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/celestial-enhanced-pgat"


def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make and send what a command makes for a store."""
    with serving(HostileS3(), monkeypatch), outbox(["s3://bucket/out"], lambda: "request") as box:
        place = box.path_for("s3://bucket/out")
        place.parent.mkdir(parents=True)
        place.write_text("whole")
        assert stat.S_IMODE(place.parents[2].stat().st_mode) == 0o700
        box.finished({})
        box.send()


def test_unfinished_work_is_kept_where_nobody_else_may_look(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(monkeypatch)
    state.mkdir(parents=True, exist_ok=True)
    (state / "another").touch()
    assert {path.name for path in state.iterdir()} == {"another"}
    kept(monkeypatch)


@pytest.mark.parametrize("above", [False, True])
def test_unfinished_work_is_kept_nowhere_where_others_may_write(
    state: Path, above: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could put another folder in its place, and have it sent."""
    state.mkdir(parents=True)
    opened = state.parent if above else state
    opened.chmod(0o777)
    with pytest.raises(
        StoreError, match=r"can be written by others \(mode 777\); set PGAT_WORK to a folder of"
    ):
        kept(monkeypatch)
    assert list(state.iterdir()) == []


def made() -> bool:
    """Make what goes to the store unless it is there already, and send it; whether it was made."""
    with outbox([URI], lambda: "request") as box:
        new = box.result() is None
        if new:
            folder = box.path_for(URI)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "content").write_text("whole")
            write_manifest(folder, producer="train", settings={})
            box.finished({"loss": 1.0})
        box.send()
    return new


def put_a_folder(result: Path) -> None:
    result.unlink()
    result.mkdir()


def put_a_pipe(result: Path) -> None:
    result.unlink()
    os.mkfifo(result)


def put_a_link(result: Path) -> None:
    result.unlink()
    result.symlink_to("/etc/passwd")


def put_a_list(result: Path) -> None:
    result.write_text("[]")


def forget_the_outputs(result: Path) -> None:
    result.write_text('{"headline": {"loss": 0.0}, "outputs": {}}')


def put_a_file_for_the_outputs(result: Path) -> None:
    shutil.rmtree(result.parent / "0")
    (result.parent / "0").write_text("x")


def put_a_link_for_an_output(result: Path) -> None:
    (result.parent / "0/out/content").unlink()
    (result.parent / "0/out/content").symlink_to("/etc/passwd")


FORGED = [
    *(put_a_folder, put_a_pipe, put_a_link, put_a_list, forget_the_outputs, put_a_file_for_the_outputs),
    put_a_link_for_an_output,
]


@pytest.mark.parametrize("forge", FORGED)
def test_what_is_kept_and_was_changed_is_made_again(
    forge: Callable[[Path], None], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(HostileS3(), monkeypatch) as server:
        server.refusing = {"out/": 403}
        with pytest.raises(UploadError):
            made()
        (result,) = state.rglob("result.json")
        forge(result)
        server.refusing = {}
        assert made()
        assert server.objects["out/content"] == b"whole"
        assert not any(b"root:" in content for content in server.objects.values())


def test_what_stands_in_the_place_of_the_work_is_one_sentence(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(HostileS3(), monkeypatch) as server:
        server.refusing = {"out/": 403}
        with pytest.raises(UploadError):
            made()
        (place,) = state.iterdir()
        shutil.rmtree(place)
        place.write_text("x")
        with pytest.raises(StoreError, match=r"File exists.*; remove what is there"):
            made()


def test_a_link_among_the_outputs_is_not_sent(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(HostileS3(), monkeypatch) as server:
        server.refusing = {"out/": 403}
        with pytest.raises(UploadError):
            made()
        (result,) = state.rglob("result.json")
        (result.parent / "0/out/planted").symlink_to("/etc/passwd")
        server.refusing = {}
        assert not made()
        assert set(server.objects) == {"out/content", f"out/{MANIFEST}"}


def test_a_trainjob_gets_what_the_datasets_manifest_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's dataset may hold a link to a secret of whoever trains from it."""
    secret = tmp_path / "secret"
    secret.write_text("of the user")
    dataset = write_tiny_dataset(tmp_path / "dataset")
    (dataset / "notes").symlink_to(secret)
    cluster = FakeCluster(lambda job: work(sent_job(job)))
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        by_trainer(dataset, tmp_path / "model", f"file://{tmp_path / 'store'}")
    sent = {path.name for path in (tmp_path / "store/dataset").iterdir()}
    assert sent == {MANIFEST, *open_manifest(dataset).files}


def test_a_folder_in_the_home_is_found_there_although_no_shell_expanded_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGAT_WORK", "~/work")
    assert named_folder() == tmp_path / "work"
    monkeypatch.setenv("PGAT_WORK", "~nobody-of-this-name/work")
    with pytest.raises(StoreError, match="PGAT_WORK is ~nobody-of-this-name/work, and that user's home is"):
        kept(monkeypatch)
