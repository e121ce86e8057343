"""Damage in a run's own folder: the next older checkpoint, in words; never a traceback, always a model in the end."""

import logging
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from model_core.checkpoints.files import (
    CHECKPOINT_MANIFEST,
    TRAINING,
    WEIGHTS,
    export_checkpoint,
    load_training,
    saved_info,
    verify_checkpoint,
)
from model_core.checkpoints.files import SETTINGS as SETTINGS_FILE
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.manager import CheckpointManager
from model_core.config.run import TrainingSettings
from model_core.errors import CheckpointError
from model_core.training.outcome import TrainingResult
from tests.checkpoints.fakes import renew_manifest
from tests.faults.flips import flip_a_bit, flipped
from tests.training.processes import attempt, attempt_as_group
from tests.training.tiny import SETTINGS, json_lines, train_tiny

THREE = SETTINGS.model_copy(update={"keep_checkpoints": 3})
TWO = THREE.model_copy(update={"train_epochs": 2})


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs after its second: it has ``best``, ``last`` and the state after epoch 1."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    train_tiny(folder, TWO)
    shutil.rmtree(folder / "epoch-0002")
    return folder


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def finished(run: Path, settings: TrainingSettings = THREE) -> TrainingResult:
    """Train to the end; what must hold of each run that ends."""
    result = train_tiny(run, settings).result
    for name in (BEST, LAST):
        verify_checkpoint(run / name)
    assert saved_info(run / BEST).epoch == result.best_epoch
    assert saved_info(run / LAST).epoch == result.epochs == settings.train_epochs
    return result


def in_place_of(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.slow
def test_each_flipped_bit_of_a_manifest_costs_an_epoch_and_is_named(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in flipped((stopped / LAST / CHECKPOINT_MANIFEST).read_bytes(), 60):
        run = Path(shutil.copytree(stopped, tmp_path / "run"))
        in_place_of(run / LAST / CHECKPOINT_MANIFEST, content)
        caplog.clear()
        assert finished(run, TWO).resumed_at == (1, 0)
        named = [record.message for record in caplog.records if "trying an older one" in record.message]
        assert len(named) == 1
        assert named[0].startswith(str(run / LAST))
        shutil.rmtree(run)


@pytest.mark.parametrize("name", [SETTINGS_FILE, WEIGHTS, TRAINING])
def test_a_flipped_bit_of_any_other_file_costs_an_epoch_and_is_named(
    name: str, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in flipped((run / LAST / name).read_bytes(), 1):
        in_place_of(run / LAST / name, content)
    assert finished(run).resumed_at == (1, 0)
    assert f"{run / LAST / name} is damaged or missing; trying an older one" in caplog.text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b"7", "it is not a JSON object"),
        (b'{"files": []}', "its field files does not fit"),
        (b'{"files": {}}', "its field files does not fit"),
        (b"\xff\xfe", "byte 1 is not UTF-8"),
        (b"[" * 100_000, "it is not JSON: it nests more than 64 levels deep"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(
    content: bytes, fault: str, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_place_of(run / LAST / CHECKPOINT_MANIFEST, content)
    assert finished(run).resumed_at == (1, 0)
    assert f"{run / LAST / CHECKPOINT_MANIFEST} is damaged ({fault}" in caplog.text


def test_settings_that_are_no_settings_cost_an_epoch(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / LAST / SETTINGS_FILE).write_text('{"info": {"epoch": "two"}}')
    renew_manifest(run / LAST)
    assert finished(run).resumed_at == (1, 0)
    assert "does not hold a checkpoint's settings" in caplog.text


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew_and_its_remedy_works(run: Path) -> None:
    for path in run.glob(f"*/{WEIGHTS}"):
        flip_a_bit(path)
    with pytest.raises(CheckpointError) as caught:
        finished(run)
    assert str(caught.value) == (
        f"none of the 2 checkpoints in {run} can be used ({run / LAST / WEIGHTS} is damaged or missing); "
        "move this folder away to train from the start, or add the --checkpoint-uri that has copies of them, "
        "if there is one"
    )
    run.rename(run.with_name("away"))
    assert finished(run).resumed_at is None


def test_each_flipped_bit_of_the_only_manifest_is_a_refusal_in_a_sentence(
    stopped: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    shutil.rmtree(run / "epoch-0001")
    for content in flipped((run / LAST / CHECKPOINT_MANIFEST).read_bytes(), 60, seed=2):
        in_place_of(run / LAST / CHECKPOINT_MANIFEST, content)
        with pytest.raises(CheckpointError, match=r"none of the 1 checkpoints in .* can be used") as caught:
            train_tiny(run, TWO)
        assert len(str(caught.value)) < 1000


def test_a_state_of_another_version_is_refused_in_a_sentence(run: Path) -> None:
    state = load_training(run / LAST)
    state["progress"]["moons"] = 2
    torch.save(state, run / LAST / TRAINING)
    renew_manifest(run / LAST)
    with pytest.raises(CheckpointError, match="written by another version of this code"):
        train_tiny(run, THREE)


def test_what_a_killed_process_had_half_done_is_put_back_or_removed(run: Path) -> None:
    (run / LAST).rename(run / ".last.old")
    (run / "epoch-0001").rename(run / ".epoch-0001.old")
    for name in (".last-x", ".best-x", ".mirror-x", ".fetch-x", ".epoch-0002-x"):
        (run / name).mkdir()
    assert finished(run, TWO).resumed_at == (2, 0)
    assert {path.name for path in run.iterdir() if path.is_dir()} == {BEST, LAST, "epoch-0001"}


# --- best ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs, of which the second was the best; it has the states after each."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert train_tiny(folder, THREE).result.best_epoch == 2
    return folder


@pytest.fixture
def done(trained: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_damaged_best_is_rebuilt_from_the_state_of_its_epoch(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (done / BEST / WEIGHTS).read_bytes()
    flip_a_bit(done / BEST / WEIGHTS)
    result = finished(done, THREE)
    assert result.best_epoch == 2
    assert result.lost_best_epoch is None
    assert (done / BEST / WEIGHTS).read_bytes() == whole
    assert f"{done / BEST / WEIGHTS} is damaged or missing; rebuilt from {done / 'epoch-0002'}" in caplog.text


def test_a_damaged_best_is_told_when_the_run_goes_on_and_not_at_its_end(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip_a_bit(run / BEST / WEIGHTS)
    with caplog.at_level(logging.INFO):
        finished(run)
    told = [
        number for number, line in enumerate(caplog.messages) if f"{run / BEST / WEIGHTS} is damaged" in line
    ]
    trained = [number for number, line in enumerate(caplog.messages) if line.startswith("epoch 3")]
    assert told
    assert trained
    assert max(told) < min(trained)


def test_a_best_of_another_epoch_is_rebuilt(done: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(done / BEST)
    export_checkpoint(done / "epoch-0001", done / BEST)
    assert finished(done, THREE).best_epoch == 2
    assert "is of epoch 1, not of the best epoch 2; rebuilt" in caplog.text


def test_a_damaged_best_without_a_copy_gives_way_to_the_best_that_is_left(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip_a_bit(done / BEST / WEIGHTS)
    shutil.rmtree(done / "epoch-0002")
    result = finished(done, THREE)
    assert result.best_epoch in {1, 3}
    assert result.lost_best_epoch == 2
    assert "there is no other copy of epoch 2; epoch" in caplog.text
    assert "takes its place until a better one comes" in caplog.text


def test_a_damaged_best_in_the_middle_of_an_epoch_is_the_next_epochs_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    often = SETTINGS.model_copy(update={"checkpoint_interval_minutes": 0.0, "checkpoint_interval": 99})
    code = attempt(tmp_path, often, "forward", 18, signal.SIGKILL)
    assert code == -signal.SIGKILL
    flip_a_bit(tmp_path / BEST / WEIGHTS)
    result = finished(tmp_path, often)
    assert result.resumed_at is not None
    assert result.resumed_at[1] > 0
    assert result.best_epoch > 1
    assert "the best of the epochs from here on takes its place" in caplog.text


def test_a_team_whose_best_was_damaged_agrees_on_the_next_one(tmp_path: Path) -> None:
    few = SETTINGS.model_copy(update={"checkpoint_interval": 99, "train_epochs": 2})
    assert attempt_as_group(tmp_path, few, size=2, rows=100) == [0, 0]
    best = saved_info(tmp_path / "0" / BEST).epoch
    flip_a_bit(tmp_path / "0" / BEST / WEIGHTS)
    longer = few.model_copy(update={"train_epochs": 4})
    assert attempt_as_group(tmp_path, longer, size=2, rows=100) == [0, 0]
    verify_checkpoint(tmp_path / "0" / BEST)
    assert saved_info(tmp_path / "0" / BEST).epoch >= best


def test_checkpoints_that_are_damaged_while_training_goes_on_are_whole_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaging(self: CheckpointManager, state: Any) -> None:
        for name in (BEST, LAST):
            flip_a_bit(self.folder / name / WEIGHTS)
        whole(self, state)

    whole = CheckpointManager.finish
    monkeypatch.setattr(CheckpointManager, "finish", damaging)
    assert finished(tmp_path, THREE).best_epoch == 2
    assert f"{tmp_path / LAST / WEIGHTS} is damaged or missing; writing it again" in caplog.text
    assert f"{tmp_path / BEST / WEIGHTS} is damaged or missing; rebuilt" in caplog.text


@pytest.mark.parametrize("name", [CHECKPOINT_MANIFEST, SETTINGS_FILE])
def test_each_flipped_bit_of_the_control_files_of_best_is_harmless_or_repaired(
    name: str, trained: Path, tmp_path: Path
) -> None:
    for content in flipped((trained / BEST / name).read_bytes(), 40):
        run = Path(shutil.copytree(trained, tmp_path / "run"))
        in_place_of(run / BEST / name, content)
        assert finished(run, THREE).best_epoch == 2
        shutil.rmtree(run)


# --- logs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["steps.jsonl", "memory_diagnostics.log"])
def test_each_flipped_bit_of_a_log_costs_at_most_its_line(name: str, stopped: Path, tmp_path: Path) -> None:
    lines = len((stopped / name).read_bytes().splitlines())
    for content in flipped((stopped / name).read_bytes(), 40):
        run = Path(shutil.copytree(stopped, tmp_path / "run"))
        in_place_of(run / name, content)
        assert finished(run, TWO).resumed_at == (2, 0)
        # A flipped line feed joins two lines, which are both lost.
        assert len(json_lines(run / name)) >= lines - 2
        shutil.rmtree(run)


@pytest.mark.parametrize("name", ["steps.jsonl", "memory_diagnostics.log"])
@pytest.mark.parametrize(
    "broken", [b"\xff\n", b"[]\n", b"{}\n", b"\n", b'{"epo', b"x" * 2**21 + b"\n", b"[" * 10**5]
)
def test_a_broken_line_of_a_log_is_left_out_and_stops_nobody(
    name: str, broken: bytes, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = json_lines(run / name)
    with (run / name).open("ab") as log:
        log.write(broken)
    assert finished(run, TWO).resumed_at == (2, 0)
    assert json_lines(run / name)[: len(before)] == before
    torn = not broken.endswith(b"\n")
    assert (f"{run / name}: left out" in caplog.text) == (not torn)
