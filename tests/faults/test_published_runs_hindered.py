"""Networks that break and garble, and stores and disks that are full, while runs are published and fetched: what comes
is right, what was there stays, and the same command completes it later."""

from pathlib import Path

import pytest

from model_core.deadlines import Limits
from pipelines.__main__ import main
from pipelines.review.publishing import publish
from tests.faults.disk import fill, small_disk
from tests.faults.proxy import Cut, Fault, Flip, Hang, Proxy, Slow
from tests.faults.published import FILES, SHELF, Outcome, has_no_half_file, whole
from tests.security.hostile_s3 import HostileS3

pytestmark = pytest.mark.usefixtures("asks_once")


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
    s3: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome,
) -> None:
    publish(runs, "first", SHELF)
    limits = Limits(
        connect_seconds=0.5,
        read_seconds=0.3,
        total_seconds=1.0,
        least_bytes_per_second=1e5,
        rate_window_seconds=0.3,
    )
    with Proxy("127.0.0.1", s3.server_port) as proxy, limits.in_force():
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.fault = fault
        download = ["download", "first", str(tmp_path / "copy"), "--runs", SHELF]
        failed = outcome(download)
        has_no_half_file(tmp_path / "copy", runs / "first")
        assert failed or len(list((tmp_path / "copy").iterdir())) == len(FILES)
        main(["runs", "publish", "second", SHELF, "--runs", str(runs)])
        assert "Traceback" not in capsys.readouterr().err
        proxy.fault = None
        assert {"first"} <= whole(s3, runs)
        assert outcome(download) == 0
        assert outcome(["publish", "second", SHELF, "--runs", str(runs)]) == 0
        assert whole(s3, runs) == {"first", "second"}


@pytest.mark.parametrize("status", [403, 507, 500])
def test_a_store_that_is_read_only_or_full_takes_nothing_and_still_shows_what_it_has(
    status: int, runs: Path, s3: HostileS3, outcome: Outcome
) -> None:
    publish(runs, "first", SHELF)
    before = dict(s3.objects)
    s3.refusing = {"": status}
    assert outcome(["publish", "second", SHELF, "--runs", str(runs)]) == 2
    assert s3.objects == before
    assert outcome(["show", "first", "--runs", SHELF]) == 0
    s3.refusing = {}
    assert outcome(["publish", "second", SHELF, "--runs", str(runs)]) == 0


def test_a_folder_of_published_runs_on_a_full_disk_keeps_what_it_has(
    runs: Path, tmp_path: Path, outcome: Outcome
) -> None:
    with small_disk(tmp_path / "shelf", 300) as disk:
        publish(runs, "first", str(disk))
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        ballast = fill(disk)
        assert outcome(["publish", "second", str(disk), "--runs", str(runs)]) == 2
        ballast.unlink()
        assert {path: path.read_bytes() for path in before} == before
        assert not (disk / "second/run.json").exists()
        assert outcome(["publish", "second", str(disk), "--runs", str(runs)]) == 0
        assert outcome(["show", "second", "--runs", str(disk)]) == 0


def test_a_full_disk_here_leaves_no_half_of_what_is_fetched(
    runs: Path,
    s3: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome,
) -> None:
    publish(runs, "first", SHELF)
    with small_disk(tmp_path / "disk", 40) as disk:
        words = ["download", "first", str(disk / "copy"), "--runs", SHELF]
        capsys.readouterr()
        assert main(["runs", *words]) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
        has_no_half_file(disk / "copy", runs / "first")
    assert outcome(["download", "first", str(tmp_path / "copy"), "--runs", SHELF]) == 0
