"""Stores that die while runs are published, read and deleted: nothing is lost, nothing is visible by half, one sentence
says why, and the same command completes it later."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_core.errors import PgatError
from model_core.publishing.index import Index
from model_core.publishing.record import record_in
from model_core.store.locate import open_store
from model_core.store.s3 import S3Store
from pipelines.__main__ import main
from pipelines.review.publishing import publish
from tests.faults.published import FILES, SHELF, Outcome, has_no_half_file, whole
from tests.security.hostile_s3 import HostileS3
from tests.store.real import real_store

pytestmark = pytest.mark.usefixtures("asks_once")


def at_every_moment(s3: HostileS3, act: Callable[[], object]) -> Iterator[None]:
    """The server holds what it held before ``act``, and is gone after 0, 1, 2 … of the requests that it makes."""
    before = dict(s3.objects)
    s3.answers_left = 1000
    act()
    made = 1000 - s3.answers_left
    for answers in range(made):
        s3.objects, s3.answers_left = dict(before), answers
        yield


def test_a_server_that_is_gone_at_any_moment_of_a_publication_leaves_it_undone_or_whole(
    runs: Path, s3: HostileS3, outcome: Outcome
) -> None:
    publish(runs, "first", SHELF)
    words = ["publish", "second", SHELF, "--runs", str(runs)]
    seen = []
    for _ in at_every_moment(s3, lambda: main(["runs", *words])):
        assert outcome(words) == 2
        seen.append(frozenset(whole(s3, runs)))
        assert outcome(words) == 0
        assert whole(s3, runs) == {"first", "second"}
        assert b"./second/report.html" in s3.objects["runs/index.html"]
    assert len(seen) > 10
    assert set(seen) == {frozenset({"first"}), frozenset({"first", "second"})}


def test_a_server_that_is_gone_while_a_changed_run_is_published_again_shows_no_mixture(
    runs: Path, s3: HostileS3, outcome: Outcome
) -> None:
    publish(runs, "first", SHELF)
    words = ["publish", "first", SHELF, "--runs", str(runs)]
    for file in FILES:
        (runs / "first" / file).write_text("new", encoding="utf-8")
    for _ in at_every_moment(s3, lambda: main(["runs", *words])):
        assert outcome(words) == 2
        s3.answers_left = None
        record = record_in(open_store(SHELF), "first")
        for file, listed in {} if record is None else record.files.items():
            assert len(s3.objects[f"runs/first/{file}"]) == listed.size
        assert outcome(words) == 0
        assert whole(s3, runs) == {"first"}


def test_a_server_that_is_gone_at_any_moment_of_a_deletion_shows_no_half_run_and_the_same_command_ends_it(
    runs: Path, s3: HostileS3, outcome: Outcome
) -> None:
    for name in ("first", "second"):
        publish(runs, name, SHELF)
    words = ["delete", "second", "--runs", SHELF]
    for _ in at_every_moment(s3, lambda: main(["runs", *words])):
        assert outcome(words) == 2
        listed = whole(s3, runs)
        assert "first" in listed
        left = any("/second/" in key for key in s3.objects)
        assert left or "second" not in listed
        if left:
            assert outcome(words) == 0
        assert whole(s3, runs) == {"first"}
        assert not any("/second/" in key for key in s3.objects)


def test_a_server_that_is_gone_at_any_moment_of_a_fold_loses_no_run(runs: Path, s3: HostileS3) -> None:
    for name in ("first", "second", "first"):
        publish(runs, name, SHELF)
    for _ in at_every_moment(s3, Index(open_store(SHELF)).fold):
        with pytest.raises(PgatError):
            Index(open_store(SHELF)).fold()
        assert whole(s3, runs) == {"first", "second"}
        Index(open_store(SHELF)).fold()
        assert whole(s3, runs) == {"first", "second"}
        assert sum("/.index/" in key for key in s3.objects) == 1


READ = {
    "list": ["list"],
    "show": ["show", "first"],
    "open": ["open", "first"],
    "download": ["download", "first", "copy"],
    "site": ["site", "site"],
}


@pytest.mark.parametrize("command", READ)
def test_a_server_that_is_gone_while_runs_are_read_leaves_no_half_file_and_later_all_of_them(
    command: str, runs: Path, s3: HostileS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    publish(runs, "first", SHELF)
    words = [*READ[command], "--runs", SHELF]
    for _ in at_every_moment(s3, lambda: main(["runs", *words])):
        for folder in ("copy", "site"):
            shutil.rmtree(folder, ignore_errors=True)
        assert outcome(words) == 2
        has_no_half_file(Path("copy"), runs / "first")
        s3.answers_left = None
        assert outcome(words) == 0


@pytest.mark.s3
@pytest.mark.slow
def test_a_real_server_that_is_killed_during_a_publication_has_it_whole_after_the_same_command(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome,
) -> None:
    """SIGKILL before the second file of three; the server is started again on its folder. Wrong keys in between."""
    words = ["publish", "second", "s3://shelf/team/runs", "--runs", str(runs)]
    listing = ["list", "--runs", "s3://shelf/team/runs"]
    with real_store(tmp_path / "objects", "shelf", monkeypatch) as process:
        publish(runs, "first", "s3://shelf/team/runs")
        send = S3Store.upload

        def kill_before_the_second(store: S3Store, key: str, file: Path) -> None:
            if file.name == FILES[1]:
                process.kill()
                process.wait()
            send(store, key, file)

        with monkeypatch.context() as patch:
            patch.setattr(S3Store, "upload", kill_before_the_second)
            assert outcome(words) == 2
        assert outcome(listing) == 2
    with real_store(tmp_path / "objects", "shelf", monkeypatch):
        capsys.readouterr()
        assert main(["runs", *listing]) == 0
        assert "second" not in capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.setenv("AWS_SECRET_ACCESS_KEY", "a guess")
            assert outcome(words) == 2
            assert outcome(listing) == 2
        assert outcome(words) == 0
        main(["runs", *listing])
        listed = capsys.readouterr().out
        assert "second" in listed
        assert "first" in listed
        copy = tmp_path / "copy"
        assert outcome(["download", "second", os.fspath(copy), "--runs", "s3://shelf/team/runs"]) == 0
        assert {path.name for path in copy.iterdir()} == set(FILES)
