"""Epoch 0: the untrained model is scored, may be the best one, and costs the epochs after it nothing."""

import logging
import math
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model_core.checkpoints.files import WEIGHTS, load_training, saved_info
from model_core.checkpoints.local import BEST, LAST
from model_core.training.outcome import TrainingResult
from model_core.training.state import Progress
from tests.faults.flips import flip_a_bit
from tests.training.processes import attempt
from tests.training.tiny import SETTINGS, TinyModel, train_tiny

RUINOUS = SETTINGS.model_copy(update={"learning_rate": 5.0, "warmup_epochs": 0})
"""Every epoch at this rate is worse than none."""


def weights_of(checkpoint: Path) -> bytes:
    return (checkpoint / WEIGHTS).read_bytes()


@pytest.fixture
def ruined(tmp_path: Path) -> TrainingResult:
    return train_tiny(tmp_path / "run", RUINOUS).result


def test_training_that_only_makes_it_worse_leaves_the_untrained_model(
    ruined: TrainingResult, tmp_path: Path
) -> None:
    info = saved_info(tmp_path / "run" / BEST)
    assert ruined.best_epoch == info.epoch == 0
    assert ruined.best_validation_loss == ruined.untrained_validation_loss == info.validation_loss
    assert ruined.lost_best_epoch is None
    assert [row["epoch"] for row in ruined.history] == [1, 2, 3]
    assert min(row["validation_loss"] for row in ruined.history) > ruined.best_validation_loss
    torch.manual_seed(RUINOUS.seed)
    fresh, kept = TinyModel().state_dict(), train_tiny(tmp_path / "run", RUINOUS)
    assert kept.result.resumed_at == (3, 0)
    saved = load_file(tmp_path / "run" / BEST / WEIGHTS)
    assert all(torch.equal(saved[name], weight) for name, weight in fresh.items())


def test_patience_counts_from_the_untrained_model(tmp_path: Path) -> None:
    result = train_tiny(tmp_path, RUINOUS.model_copy(update={"patience": 1})).result
    assert (result.best_epoch, result.epochs) == (0, 1)


def test_scoring_the_untrained_model_draws_nothing_from_the_generators(tmp_path: Path) -> None:
    """A run that is given its score beforehand trains to the same bits."""
    train_tiny(tmp_path / "scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "awaits_first_score", False)
        without = train_tiny(tmp_path / "unscored").result
    assert without.untrained_validation_loss is None
    assert weights_of(tmp_path / "scored" / LAST) == weights_of(tmp_path / "unscored" / LAST)


def test_a_run_that_is_stopped_while_its_untrained_model_is_scored_scores_it_again(tmp_path: Path) -> None:
    assert attempt(tmp_path / "stopped", SETTINGS, "forward", 1, signal.SIGTERM) == 143
    assert not (tmp_path / "stopped" / BEST).exists()
    assert load_training(tmp_path / "stopped" / LAST)["progress"]["untrained_loss"] is None
    assert attempt(tmp_path / "stopped", SETTINGS) == attempt(tmp_path / "whole", SETTINGS) == 0
    stopped, whole = (load_training(tmp_path / name / LAST)["progress"] for name in ("stopped", "whole"))
    assert stopped["untrained_loss"] == whole["untrained_loss"]
    assert weights_of(tmp_path / "stopped" / LAST) == weights_of(tmp_path / "whole" / LAST)


def test_an_untrained_model_that_cannot_be_scored_is_no_candidate() -> None:
    progress = Progress()
    assert not progress.scored(math.nan)
    assert not progress.has_best
    assert progress.epochs_without_gain == 0


def test_a_damaged_untrained_best_gives_way_to_the_next_best(
    ruined: TrainingResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    flip_a_bit(run / BEST / WEIGHTS)
    result = train_tiny(run, RUINOUS).result
    assert result.best_epoch > 0
    assert result.lost_best_epoch == 0
    assert "there is no other copy of epoch 0" in caplog.text
    assert saved_info(run / BEST).epoch == result.best_epoch


def test_the_score_of_the_untrained_model_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pgat.train"):
        result = train_tiny(tmp_path).result
    assert f"epoch 0, untrained: validation {result.untrained_validation_loss:.5f}" in caplog.messages
