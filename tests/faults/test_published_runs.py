"""Stores that die, break and garble while runs are published, read and deleted: nothing is lost, nothing is visible by
half, one sentence says why, and the same command completes it later."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_core.artifacts import sha256_of
from model_core.deadlines import Limits
from model_core.errors import PgatError
from model_core.publishing.index import Index
from model_core.publishing.publish import indexed_records
from model_core.publishing.record import record_in
from model_core.store import client
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from model_core.store.s3 import S3Store
from pipelines.__main__ import main
from pipelines.review.publishing import publish
from pipelines.store import running_server
from tests.faults.disk import fill, small_disk
from tests.faults.proxy import Cut, Fault, Flip, Hang, Proxy, Slow
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.hostile_s3 import HostileS3, serving

SHELF = "s3://bucket/runs"
FILES = ("report.html", "summary.md", "settings.yaml")


@pytest.fixture(autouse=True)
def _asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is gone is not waited for."""
    monkeypatch.setattr(client, "_RETRIES", PacedRetry(total=0))


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    with serving(HostileS3(), monkeypatch) as server:
        yield server


@pytest.fixture(name="runs")
def _runs(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    for number, name in enumerate(("first", "second")):
        write_record(runs, synthetic_record(number, name=name))
        for file in FILES:
            (runs / name / file).write_text(f"{file} of {name} " * 1000, encoding="utf-8")
    return runs


def outcome(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of a command; one that failed says one line."""
    capsys.readouterr()
    code = main(["runs", *words])
    error = capsys.readouterr().err
    assert (code == 0) == (error.count("error: ") == 0), error
    assert error.count("\n") == (code != 0), error
    assert "Traceback" not in error
    return code


def whole(server: HostileS3, runs: Path) -> set[str]:
    """Names of the runs that can be found, by the index or by their record; each of them is whole."""
    server.answers_left = None
    store = open_store(SHELF)
    named = {record.name for record in indexed_records(store, Index(store))}
    found = {name for name in ("first", "second") if record_in(store, name) is not None}
    for name in found:
        record = record_in(store, name)
        assert record is not None
        assert set(record.files) == set(FILES)
        for file, listed in record.files.items():
            assert server.objects[f"runs/{name}/{file}"] == (runs / name / file).read_bytes()
            assert sha256_of(runs / name / file) == listed.sha256
    assert named <= found, "what is listed can be read"
    return named


def requests_of(server: HostileS3, act: Callable[[], object]) -> int:
    """How many requests it makes."""
    server.answers_left = 1000
    act()
    made, server.answers_left = 1000 - server.answers_left, None
    return made


def test_a_server_that_is_gone_at_any_moment_of_a_publication_leaves_it_undone_or_whole(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(runs, "first", SHELF)
    before = dict(server.objects)
    words = ["publish", "second", SHELF, "--runs", str(runs)]
    made = requests_of(server, lambda: main(["runs", *words]))
    assert made > 10
    seen = set()
    for answers in range(made):
        server.objects = dict(before)
        server.answers_left = answers
        assert outcome(words, capsys) == 2
        seen.add(frozenset(whole(server, runs)))
        assert outcome(words, capsys) == 0
        assert whole(server, runs) == {"first", "second"}
        assert b"./second/report.html" in server.objects["runs/index.html"]
    assert seen == {frozenset({"first"}), frozenset({"first", "second"})}


def test_a_server_that_is_gone_while_a_changed_run_is_published_again_shows_no_mixture(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(runs, "first", SHELF)
    before = dict(server.objects)
    words = ["publish", "first", SHELF, "--runs", str(runs)]
    for file in FILES:
        (runs / "first" / file).write_text("new", encoding="utf-8")
    made = requests_of(server, lambda: main(["runs", *words]))
    for answers in range(made):
        server.objects = dict(before)
        server.answers_left = answers
        assert outcome(words, capsys) == 2
        server.answers_left = None
        record = record_in(open_store(SHELF), "first")
        for file, listed in {} if record is None else record.files.items():
            assert len(server.objects[f"runs/first/{file}"]) == listed.size
        assert outcome(words, capsys) == 0
        assert whole(server, runs) == {"first"}


def test_a_server_that_is_gone_at_any_moment_of_a_deletion_shows_no_half_run_and_the_same_command_ends_it(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        publish(runs, name, SHELF)
    before = dict(server.objects)
    words = ["delete", "second", "--runs", SHELF]
    made = requests_of(server, lambda: main(["runs", *words]))
    for answers in range(made):
        server.objects = dict(before)
        server.answers_left = answers
        assert outcome(words, capsys) == 2
        listed = whole(server, runs)
        assert "first" in listed
        left = any("/second/" in key for key in server.objects)
        assert left or "second" not in listed
        if left:
            assert outcome(words, capsys) == 0
        assert whole(server, runs) == {"first"}
        assert not any("/second/" in key for key in server.objects)


def test_a_server_that_is_gone_at_any_moment_of_a_fold_loses_no_run(runs: Path, server: HostileS3) -> None:
    for name in ("first", "second", "first"):
        publish(runs, name, SHELF)
    before = dict(server.objects)
    made = requests_of(server, Index(open_store(SHELF)).fold)
    for answers in range(made):
        server.objects = dict(before)
        server.answers_left = answers
        with pytest.raises(PgatError):
            Index(open_store(SHELF)).fold()
        assert whole(server, runs) == {"first", "second"}
        Index(open_store(SHELF)).fold()
        assert whole(server, runs) == {"first", "second"}
        assert sum("/.index/" in key for key in server.objects) == 1


READ = {
    "list": ["list"],
    "show": ["show", "first"],
    "open": ["open", "first"],
    "download": ["download", "first", "copy"],
    "site": ["site", "site"],
}


@pytest.mark.parametrize("command", READ)
def test_a_server_that_is_gone_while_runs_are_read_leaves_no_half_file_and_later_all_of_them(
    command: str,
    runs: Path,
    server: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    publish(runs, "first", SHELF)
    words = [*READ[command], "--runs", SHELF]
    made = requests_of(server, lambda: main(["runs", *words]))
    for answers in range(made):
        for folder in ("copy", "site"):
            shutil.rmtree(folder, ignore_errors=True)
        server.answers_left = answers
        assert outcome(words, capsys) == 2
        for path in Path("copy").rglob("*"):
            assert path.read_bytes() == (runs / "first" / path.name).read_bytes()
        server.answers_left = None
        assert outcome(words, capsys) == 0


@pytest.mark.parametrize(
    "fault",
    [
        Cut(300),
        Cut(3000),
        Cut(300, reset=True),
        Cut(3000, reset=True),
        Hang(),
        Slow(20),
        *map(Flip, range(20, 6000, 400)),
    ],
    ids=str,
)  # fmt: skip
def test_a_network_that_breaks_hangs_crawls_or_garbles_yields_the_whole_or_an_error(
    fault: Fault,
    runs: Path,
    server: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(runs, "first", SHELF)
    limits = Limits(
        connect_seconds=0.5,
        read_seconds=0.3,
        total_seconds=1.0,
        least_bytes_per_second=1e5,
        rate_window_seconds=0.3,
    )
    with Proxy("127.0.0.1", server.server_port) as proxy, limits.in_force():
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.fault = fault
        download = ["download", "first", str(tmp_path / "copy"), "--runs", SHELF]
        failed = outcome(download, capsys)
        for path in (tmp_path / "copy").rglob("*"):
            assert path.read_bytes() == (runs / "first" / path.name).read_bytes()
        assert failed or len(list((tmp_path / "copy").iterdir())) == len(FILES)
        main(["runs", "publish", "second", SHELF, "--runs", str(runs)])
        assert "Traceback" not in capsys.readouterr().err
        proxy.fault = None
        assert {"first"} <= whole(server, runs)
        assert outcome(download, capsys) == 0
        assert outcome(["publish", "second", SHELF, "--runs", str(runs)], capsys) == 0
        assert whole(server, runs) == {"first", "second"}


@pytest.mark.parametrize("status", [403, 507, 500])
def test_a_store_that_is_read_only_or_full_takes_nothing_and_still_shows_what_it_has(
    status: int, runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(runs, "first", SHELF)
    before = dict(server.objects)
    server.refusing = {"": status}
    assert outcome(["publish", "second", SHELF, "--runs", str(runs)], capsys) == 2
    assert server.objects == before
    assert outcome(["show", "first", "--runs", SHELF], capsys) == 0
    server.refusing = {}
    assert outcome(["publish", "second", SHELF, "--runs", str(runs)], capsys) == 0


def test_a_folder_of_published_runs_on_a_full_disk_keeps_what_it_has(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "shelf", 300) as disk:
        publish(runs, "first", str(disk))
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        ballast = fill(disk)
        assert outcome(["publish", "second", str(disk), "--runs", str(runs)], capsys) == 2
        ballast.unlink()
        assert {path: path.read_bytes() for path in before} == before
        assert not (disk / "second/run.json").exists()
        assert outcome(["publish", "second", str(disk), "--runs", str(runs)], capsys) == 0
        assert outcome(["show", "second", "--runs", str(disk)], capsys) == 0


def test_a_full_disk_here_leaves_no_half_of_what_is_fetched(
    runs: Path,
    server: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(runs, "first", SHELF)
    with small_disk(tmp_path / "disk", 40) as disk:
        words = ["download", "first", str(disk / "copy"), "--runs", SHELF]
        capsys.readouterr()
        assert main(["runs", *words]) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
        for path in (disk / "copy").rglob("*"):
            assert path.read_bytes() == (runs / "first" / path.name).read_bytes()
    assert outcome(["download", "first", str(tmp_path / "copy"), "--runs", SHELF], capsys) == 0


@pytest.mark.s3
@pytest.mark.slow
def test_a_real_server_that_is_killed_during_a_publication_has_it_whole_after_the_same_command(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL before the second file of three; the server is started again on its folder. Wrong keys in between."""
    words = ["publish", "second", "s3://shelf/team/runs", "--runs", str(runs)]
    listing = ["list", "--runs", "s3://shelf/team/runs"]
    with running_server(tmp_path / "objects", "shelf") as (server, process):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        publish(runs, "first", "s3://shelf/team/runs")
        send = S3Store.upload

        def kill_before_the_second(store: S3Store, key: str, file: Path) -> None:
            if file.name == FILES[1]:
                process.kill()
                process.wait()
            send(store, key, file)

        with monkeypatch.context() as patch:
            patch.setattr(S3Store, "upload", kill_before_the_second)
            assert outcome(words, capsys) == 2
        assert outcome(listing, capsys) == 2
    with running_server(tmp_path / "objects", "shelf") as (server, _):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        assert main(["runs", *listing]) == 0
        assert "second" not in capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.setenv("AWS_SECRET_ACCESS_KEY", "a guess")
            assert outcome(words, capsys) == 2
            assert outcome(listing, capsys) == 2
        assert outcome(words, capsys) == 0
        main(["runs", *listing])
        listed = capsys.readouterr().out
        assert "second" in listed
        assert "first" in listed
        copy = tmp_path / "copy"
        assert outcome(["download", "second", os.fspath(copy), "--runs", "s3://shelf/team/runs"], capsys) == 0
        assert {path.name for path in copy.iterdir()} == set(FILES)
