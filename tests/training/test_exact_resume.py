"""A run that was killed and started again leaves bit for bit what an uninterrupted one leaves."""

import logging
import random
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model_core.artifacts import sha256_of
from model_core.checkpoints.files import load_training, verify_checkpoint
from model_core.config.run import TrainingSettings
from model_core.errors import CheckpointError
from model_core.training.schedule import learning_rate
from tests.training.processes import HANGS_AFTER, Point, attempt, start
from tests.training.tiny import SETTINGS, json_lines, train_tiny

EVERY_STEP = SETTINGS.model_copy(update={"checkpoint_interval_minutes": 0.0})
EVERY_EPOCH = SETTINGS.model_copy(update={"checkpoint_interval_minutes": None})
CLOCK = {"seconds", "samples_per_second", "memory_mb", "peak_memory_mb"}


def what_is_left(folder: Path) -> dict[str, Any]:
    """Losses of each step and epoch, hashes of the weights, and the optimizer's state; no clock, no memory."""
    steps = json_lines(folder / "steps.jsonl")
    history = pq.read_table(folder / "history.parquet").to_pylist()
    optimizer = load_training(folder / "last")["optimizer"]["state"]
    return {
        "steps": [{k: v for k, v in step.items() if k not in CLOCK} for step in steps],
        "history": [{k: v for k, v in row.items() if k not in CLOCK} for row in history],
        "best": sha256_of(folder / "best" / "model.safetensors"),
        "last": sha256_of(folder / "last" / "model.safetensors"),
        "moments": {i: {k: v.tolist() for k, v in state.items()} for i, state in optimizer.items()},
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert attempt(folder, EVERY_EPOCH) == 0
    left = what_is_left(folder)
    assert len(left["steps"]) == 12
    assert len(left["history"]) == 3
    return left


KILLS: list[tuple[TrainingSettings, Point, int]] = [
    (EVERY_EPOCH, "forward", 1),  # while the untrained model is scored
    (EVERY_EPOCH, "forward", 3),  # before the first step
    (EVERY_EPOCH, "forward", 14),  # in the second epoch
    (EVERY_EPOCH, "forward", 20),  # while validating the second epoch
    (EVERY_STEP, "forward", 8),  # in the second micro-batch of a step
    (EVERY_STEP, "forward", 23),
    (EVERY_STEP, "sync", 2),  # while the first checkpoint is written
    (EVERY_STEP, "sync", 13),
    (EVERY_STEP, "sync", 30),
    (EVERY_EPOCH, "sync", 13),  # best is written, last is not
    (EVERY_STEP, "rename", 4),  # the old checkpoint is away, the new one not yet there
    (EVERY_STEP, "renamed", 8),  # the new one is there, the old one not yet removed
]


@pytest.mark.parametrize(("settings", "point", "calls"), KILLS)
def test_a_killed_run_goes_on_bit_for_bit(
    settings: TrainingSettings, point: Point, calls: int, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    assert attempt(tmp_path, settings, point, calls) == -signal.SIGKILL
    assert attempt(tmp_path, settings) == 0
    assert what_is_left(tmp_path) == uninterrupted


def test_a_killed_run_in_bf16_goes_on_bit_for_bit(tmp_path: Path) -> None:
    settings = EVERY_STEP.model_copy(update={"precision": "bf16"})
    assert attempt(tmp_path / "whole", settings) == 0
    assert attempt(tmp_path / "killed", settings, "forward", 16) == -signal.SIGKILL
    assert attempt(tmp_path / "killed", settings) == 0
    assert what_is_left(tmp_path / "killed") == what_is_left(tmp_path / "whole")


def test_a_run_killed_again_and_again_goes_on_bit_for_bit(
    uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    for calls in (5, 4, 6, 3, 5):
        assert attempt(tmp_path, EVERY_STEP, "forward", calls) == -signal.SIGKILL
    assert attempt(tmp_path, EVERY_STEP) == 0
    assert what_is_left(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    ("settings", "calls"),
    [(EVERY_EPOCH, (14,)), (EVERY_EPOCH, (20,)), (EVERY_STEP, (8, 6, 9)), (EVERY_EPOCH, (3, 9, 20))],
)
def test_tensorboard_shows_each_step_and_epoch_of_a_killed_run_once(
    settings: TrainingSettings, calls: tuple[int, ...], tmp_path: Path
) -> None:
    """Read by TensorBoard itself, whose own rule for restarted runs knows one axis only, and here there are two."""
    settings = settings.model_copy(update={"tensorboard": True})
    for number in calls:
        assert attempt(tmp_path, settings, "forward", number) == -signal.SIGKILL
    assert attempt(tmp_path, settings) == 0
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    steps = board.Scalars("step/total")
    assert [event.step for event in steps] == list(range(1, 13))
    lines = json_lines(tmp_path / "steps.jsonl")
    assert [event.value for event in steps] == pytest.approx([line["loss_total"] for line in lines])
    epochs = board.Scalars("epoch/validation_loss")
    assert [event.step for event in epochs] == [1, 2, 3]


def test_a_resumed_run_leaves_event_files_alone_that_hold_nothing_it_does_again(tmp_path: Path) -> None:
    settings = EVERY_EPOCH.model_copy(update={"tensorboard": True})
    assert attempt(tmp_path, settings) == 0
    (path,) = (tmp_path / "tensorboard").iterdir()
    before = (path.read_bytes(), path.stat().st_ino)
    assert attempt(tmp_path, settings.model_copy(update={"train_epochs": 4})) == 0
    assert (path.read_bytes(), path.stat().st_ino) == before
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("epoch/validation_loss")] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "every", "kills"), [("forward", 3, 10), ("sync", 12, 11), ("rename", 4, 10), ("renamed", 4, 10)]
)
def test_a_run_killed_anywhere_goes_on_bit_for_bit(
    point: Point, every: int, kills: int, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    """An uninterrupted run passes 29 forward passes, 128 syncs and 39 renames; every ``every``-th is tried."""
    for number in range(kills):
        folder = tmp_path / str(number)
        assert attempt(folder, EVERY_STEP, point, 1 + number * every) == -signal.SIGKILL
        assert attempt(folder, EVERY_STEP) == 0
        assert what_is_left(folder) == uninterrupted
    assert attempt(tmp_path / "after", EVERY_STEP, point, 1 + kills * every) == 0


@pytest.mark.slow
def test_a_run_killed_from_outside_at_random_moments_goes_on_bit_for_bit(
    uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    delays = random.Random(3)
    for number in range(6):
        process = start(tmp_path / str(number), EVERY_STEP)
        time.sleep(delays.uniform(0.0, 0.5))
        process.kill()
        process.join(HANGS_AFTER)
        assert attempt(tmp_path / str(number), EVERY_STEP) == 0
        assert what_is_left(tmp_path / str(number)) == uninterrupted


@pytest.mark.parametrize("calls", [8, 20])
def test_sigterm_saves_the_step_in_progress_and_leaves_with_143(
    calls: int, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    assert attempt(tmp_path, EVERY_EPOCH, "forward", calls, signal.SIGTERM) == 143
    verify_checkpoint(tmp_path / "last")
    progress = load_training(tmp_path / "last")["progress"]
    assert (progress["epoch"], progress["step"]) == {8: (0, 3), 20: (1, 4)}[calls]
    assert attempt(tmp_path, EVERY_EPOCH) == 0
    assert what_is_left(tmp_path) == uninterrupted


def test_a_run_that_stopped_early_says_why_and_is_over_when_it_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = SETTINGS.model_copy(update={"patience": 1, "train_epochs": 30, "learning_rate": 1.0})
    with caplog.at_level(logging.INFO, logger="pgat.train"):
        first = train_tiny(tmp_path, impatient).result
    reason = "no lower validation loss for 1 epoch (training.patience)"
    assert caplog.messages[-1] == f"training is over: {reason}; the best epoch is {first.best_epoch}"
    again = train_tiny(tmp_path, impatient).result
    assert first.stopped_because == again.stopped_because == reason
    assert again.epochs == first.epochs < 30
    assert again.resumed_at == (first.epochs, 0)


def test_another_learning_rate_does_not_go_on_from_foreign_checkpoints(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    other = SETTINGS.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(CheckpointError, match=r"training\.learning_rate was 0\.01, now 0\.5"):
        train_tiny(tmp_path, other)


def test_epochs_may_be_added_to_a_finished_run_which_says_what_becomes_of_its_learning_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_tiny(tmp_path)
    longer = SETTINGS.model_copy(update={"train_epochs": 4})
    assert train_tiny(tmp_path, longer).result.resumed_at == (3, 0)
    fourth = json_lines(tmp_path / "steps.jsonl")[-1]
    assert fourth["learning_rate"] == learning_rate(longer, 3, 0.0, 1.0)
    assert (
        "training.train_epochs was 3 and is 4 now: training goes on to the end of epoch 4, and the learning rate "
        "follows the cosine of 4 epochs from here on: 0.0025 in epoch 4, after 0.005 in epoch 3 on that of 3"
    ) in caplog.messages
    caplog.clear()
    train_tiny(tmp_path, longer)
    assert "train_epochs was" not in caplog.text


def test_a_run_that_is_to_be_shorter_than_it_is_ends_at_once_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_tiny(tmp_path)
    result = train_tiny(tmp_path, SETTINGS.model_copy(update={"train_epochs": 2})).result
    assert (result.epochs, result.stopped_because) == (3, "all epochs done")
    assert "train_epochs was 3 and is 2 now: 3 epochs are done, so training ends here" in caplog.text


def test_a_learning_rate_that_knows_no_end_is_not_said_to_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    constant = SETTINGS.model_copy(update={"lradj": "constant", "train_epochs": 1})
    train_tiny(tmp_path, constant)
    train_tiny(tmp_path, constant.model_copy(update={"train_epochs": 2}))
    assert (
        "training.train_epochs was 1 and is 2 now: training goes on to the end of epoch 2" in caplog.messages
    )
