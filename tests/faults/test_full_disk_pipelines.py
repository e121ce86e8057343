"""Full disks and odd links, as ``python -m pipelines`` meets them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.steps import STEPS
from model_core.artifacts import read_json
from pipelines.__main__ import main
from pipelines.runners.process import RunProgress, run_step
from tests.faults.disk import fill, small_disk
from tests.faults.steps import TINY
from tests.faults.test_full_disks import dangling, looping

pytestmark = pytest.mark.usefixtures("preloaded")

RUN = ["run", "--config", TINY, "--source", "sample://synthetic", "--name", "x"]


def error_of(line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the one line with which a command failed."""
    capsys.readouterr()
    code = main(line)
    (error,) = capsys.readouterr().err.splitlines()
    return code, error


PLACES = {
    "runs": lambda place: [*RUN, "--runs", str(place)],
    "checkpoints": lambda place: [
        *RUN, "--runs", str(place.parent / "r"), "--checkpoint-uri", str(place),
    ],
    "published": lambda place: [*RUN, "--runs", str(place.parent / "r"), "--publish-uri", str(place)],
    "compiled": lambda place: ["compile", "--tag", "0123456789ab", "--output", str(place / "pipeline.yaml")],
    "store": lambda place: ["store", "--folder", str(place), "--port", "0"],
}  # fmt: skip


@pytest.mark.parametrize("link", [dangling, looping])
@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_a_link_to_nowhere_is_refused_before_the_work(
    place: str, link: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link(tmp_path / "place")
    before = sorted(tmp_path.iterdir())
    code, error = error_of(PLACES[place](tmp_path / "place"), capsys)
    assert code == 2
    assert f"{tmp_path / 'place'} is a link that leads nowhere; remove it" in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", PLACES)
def test_a_place_on_a_full_disk_is_refused_before_the_work(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "place", 64) as disk:
        ballast = fill(disk)
        code, error = error_of(PLACES[place](disk), capsys)
        assert code == 2
        assert "(No space left on device); make room there" in error
        assert [path for path in disk.iterdir() if path.is_file()] == [ballast]


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_whose_disk_fills_up_fails_in_one_sentence_and_goes_on_when_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first step, again in the second one, and then to the end."""
    with small_disk(tmp_path / "runs", 64_000) as disk:
        for room_bytes, step in ((250_000, "prepare_data"), (500_000, "train")):
            ballast = fill(disk, room_bytes)
            code = main([*RUN, "--runs", str(disk)])
            said = capsys.readouterr()
            assert code in (1, 2), said.out
            assert "Traceback" not in said.out + said.err
            assert said.out.count("/5] ") == list(STEPS).index(step) + 1, said.out
            assert "make room there" in said.err.splitlines()[-1]
            ballast.unlink()
        assert main([*RUN, "--runs", str(disk)]) == 0
        assert read_json(disk / "x" / "run.json")["status"] == "succeeded"


def test_a_step_goes_on_when_its_log_cannot_be_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    (tmp_path / "step.log").symlink_to("/dev/full")
    progress = RunProgress(sys.stdout, tmp_path, 1)
    command = [
        sys.executable,
        "-c",
        "print('line 1'); print('line 2'); print('error: no luck'); raise SystemExit(1)",
    ]
    run_step("step", command, {}, progress)
    out = capfd.readouterr().out
    assert "line 2" in out
    assert out.count(f"the log {tmp_path / 'step.log'} ends here; the disk may be full") == 1
    assert progress.reason == "no luck"
