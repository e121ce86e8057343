"""Full disks and odd links, as the five commands meet them: one sentence, exit code 2 before the work, 1 after it."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.steps import STEPS
from model_core.artifacts import open_artifact
from model_core.checkpoints.files import verify_checkpoint
from model_core.checkpoints.local import BEST, LAST
from model_core.training.logs import LineLog
from tests.faults.disk import fill, limited, small_disk
from tests.faults.steps import do, output_of, words
from tests.faults.test_train_command import after_epoch
from tests.security.hostile_s3 import HostileS3, serving

pytestmark = pytest.mark.usefixtures("preloaded")


def ended(step: str, line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and the one error line of a step that does not succeed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        do(step, line)
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1, errors
    return end.value.code, errors[0]


@pytest.mark.parametrize("step", STEPS)
def test_a_disk_that_is_full_before_the_work_is_refused_and_nothing_is_left(
    step: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        ballast = fill(disk)
        code, error = ended(step, words(step, made, disk), capsys)
        assert code == 2
        assert "No space left on device); make room there" in error
        assert list(disk.iterdir()) == [ballast]


# Findings take less room than what is asked for before the work.
@pytest.mark.parametrize("step", ["prepare_data", "evaluate", "report"])
def test_a_disk_that_fills_up_during_the_work_fails_it_and_nothing_half_written_is_left(
    step: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 76) as disk:
        code, error = ended(step, words(step, made, disk), capsys)
        assert code == 1
        assert f"cannot write {disk / output_of(step)} (" in error
        assert "make room there and give the same command again" in error
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("step", ["prepare_data", "report"])
def test_the_same_under_a_limit_on_the_size_of_files_which_every_machine_has(
    step: str, made: Path, tmp_path: Path
) -> None:
    result = limited(["-m", f"components.{step}", *words(step, made, tmp_path)], 70_000)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert f"error: cannot write {tmp_path / output_of(step)} (" in result.stderr
    assert "File too large" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_disk_has_no_room_for_its_checkpoints_is_refused_before_the_first_step(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        code, error = ended("train", words("train", made, disk), capsys)
        assert code == 2
        assert " MB are needed; make room there, or choose another folder" in error
        assert list(disk.iterdir()) == []


def test_a_training_that_cannot_write_its_first_checkpoint_ends_in_one_sentence(
    made: Path, tmp_path: Path
) -> None:
    result = limited(["-m", "components.train", *words("train", made, tmp_path)], 70_000)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(
        f"error: cannot write {tmp_path / '.model-training' / BEST} ("
    )


@pytest.mark.parametrize("written", ["weights", "state"])
def test_a_disk_that_fills_up_while_a_run_trains_keeps_the_last_checkpoint_and_the_run_goes_on_from_there(
    written: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Either the weights or, with room for them, the state of the optimizer cannot be written any more."""
    with small_disk(tmp_path / "disk", 64_000) as disk:
        line = words("train", made, disk)
        line += ["--set", "training.train_epochs=3", "--set", "training.checkpoint_interval=1"]
        work = disk / ".model-training"
        ballast = disk / ".ballast"

        def leave_no_room() -> None:
            weights = (work / LAST / "model.safetensors").stat().st_size
            fill(disk, 0 if written == "weights" else 2 * weights)

        with after_epoch(2, disk, leave_no_room):
            code, error = ended("train", line, capsys)
        assert code == 1
        assert "(No space left on device); " in error
        assert "make room there and give the same command again" in error
        verify_checkpoint(work / LAST)
        assert not [path for path in work.iterdir() if path.name.startswith(".")]
        ballast.unlink()
        do("train", line)
        assert open_artifact(disk / "model", producer="train")
        assert not work.exists()
    assert '"epochs": 3.0' in capsys.readouterr().out


def test_a_log_that_cannot_be_written_says_so_once_and_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = LineLog(Path("/dev/full"))
    for number in range(3):
        log.write({"line": number})
    log.close()
    (said,) = caplog.messages
    assert said == "/dev/full is no longer written (No space left on device); the run goes on without it"


def test_a_board_on_a_full_disk_costs_a_run_nothing_but_the_board(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = tmp_path / ".model-training"
    work.mkdir()
    with small_disk(work / "tensorboard", 4) as board:
        fill(board)
        do("train", [*words("train", made, tmp_path), "--set", "training.tensorboard=true"])
        open_artifact(tmp_path / "model", producer="train")
    assert sum("is no longer written" in message for message in caplog.messages) == 1


def dangling(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def looping(place: Path) -> None:
    place.symlink_to(place.parent / "other")
    (place.parent / "other").symlink_to(place)


@pytest.mark.parametrize("link", [dangling, looping])
@pytest.mark.parametrize("step", STEPS)
def test_an_output_that_is_a_link_to_nowhere_is_refused_before_the_work(
    step: str, link: Callable[[Path], None], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link(tmp_path / output_of(step))
    before = sorted(tmp_path.iterdir())
    code, error = ended(step, words(step, made, tmp_path), capsys)
    assert code == 2
    assert f"{tmp_path / output_of(step)} is a link that leads nowhere; remove it" in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("step", STEPS)
def test_an_output_that_is_a_link_goes_to_where_it_leads(step: str, made: Path, tmp_path: Path) -> None:
    place, target = tmp_path / output_of(step), tmp_path / "elsewhere"
    target.touch() if step == "report" else target.mkdir()
    place.symlink_to(target)
    do(step, words(step, made, tmp_path))
    assert place.is_symlink()
    if step == "report":
        assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    else:
        open_artifact(target, producer=step)


def test_an_output_below_a_link_to_nowhere_is_refused_too(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dangling(tmp_path / "link")
    code, error = ended("train", words("train", made, tmp_path / "link" / "deep"), capsys)
    assert code == 2
    assert f"{tmp_path / 'link'} is a link that leads nowhere" in error
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_sky_that_cannot_be_kept_costs_only_the_time_to_compute_it_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "cache", 8) as cache:
        result = limited(
            ["-m", "components.prepare_data", *words("prepare_data", tmp_path, tmp_path)],
            10**8,
            {"XDG_CACHE_HOME": str(cache)},
        )
    assert result.returncode == 0, result.stderr
    assert "the sky is not kept in" in result.stdout
    open_artifact(tmp_path / "dataset", producer="prepare_data")


def test_a_full_folder_of_temporary_files_is_not_taken_for_a_fault_of_the_network(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = {f"data/{path.name}": path.read_bytes() for path in (made / "dataset").iterdir()}
    with small_disk(tmp_path / "temporary", 64) as disk, serving(HostileS3(dataset), monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        line = words("train", made, tmp_path)
        line[line.index("--dataset") + 1] = "s3://bucket/data"
        code, error = ended("train", line, capsys)
        assert code == 2
        assert "(No space left on device); make room there, or set TMPDIR to another folder" in error
        assert "network" not in error
        assert list(disk.iterdir()) == []
    shutil.rmtree(tmp_path / "temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    code, error = ended("train", line, capsys)
    assert code == 2
    assert "no temporary folder can be made (No such file or directory); make room in /tmp, or" in error


def test_a_page_that_cannot_be_published_is_kept_and_the_sentence_says_where(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with small_disk(tmp_path / "published", 76) as disk:
        line = [*words("report", made, tmp_path), "--publish-uri", str(disk)]
        code, error = ended("report", line, capsys)
        assert code == 1
        assert f"in {disk} (No space left on device); it is complete in {tmp_path / 'report.html'}" in error
        assert (tmp_path / "report.html").exists()
        assert not list(disk.rglob("*.html"))
        fill(disk)
        code, error = ended("report", line, capsys)
        assert code == 2
        assert f"in {disk} (No space left on device); make room there" in error
