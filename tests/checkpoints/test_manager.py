"""Which checkpoints are kept, and which one a run goes on from when some are damaged."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model_core.artifacts import read_json, write_json
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, load_training, saved_info
from model_core.errors import CheckpointError
from tests.checkpoints.fakes import renew_manifest
from tests.training.tiny import SETTINGS, train_tiny


def test_pruning_keeps_the_best_the_last_and_the_newest_few(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"train_epochs": 7, "checkpoint_interval": 2, "keep_checkpoints": 2}
    )
    result = train_tiny(tmp_path, settings).result
    kept = sorted(path.parent.name for path in tmp_path.glob(f"*/{CHECKPOINT_MANIFEST}"))
    assert kept == ["best", "epoch-0004", "epoch-0006", "last"]
    assert saved_info(tmp_path / "best").epoch == result.best_epoch
    assert saved_info(tmp_path / "last").epoch == 7


def test_best_holds_no_optimizer_and_cannot_be_mistaken_for_a_run(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    with pytest.raises(CheckpointError, match="weights only") as refusal:
        load_training(tmp_path / "best")
    assert refusal.value.path == tmp_path / "best"


def test_a_damaged_last_checkpoint_falls_back_to_the_epoch_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train_tiny(tmp_path / "whole").result
    train_tiny(tmp_path / "run", SETTINGS.model_copy(update={"train_epochs": 2}))
    for damaged in ("last", "epoch-0002"):
        (tmp_path / "run" / damaged / WEIGHTS).write_bytes(b"rubbish")
    again = train_tiny(tmp_path / "run").result
    assert again.resumed_at == (1, 0)
    assert caplog.text.count("is damaged or missing") == 2
    # The learning rate's cosine ends with train_epochs, and epoch 2 was run again under three of them.
    assert [row["train_loss"] for row in again.history] == [row["train_loss"] for row in whole.history]


def test_a_checkpoint_says_with_which_settings_and_versions_it_was_made(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    for name in ("best", "last"):
        saved: Any = read_json(tmp_path / name / "settings.json")
        assert saved["info"]["training"] == SETTINGS.model_dump(mode="json")
        assert saved["versions"]["torch"] == torch.__version__
        assert {"python", "pgat", "numpy"} <= saved["versions"].keys()


def test_going_on_with_another_version_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train_tiny(tmp_path, SETTINGS.model_copy(update={"train_epochs": 1}))
    settings = tmp_path / "last" / "settings.json"
    saved: Any = read_json(settings)
    saved["versions"]["torch"] = "1.0"
    write_json(settings, saved)
    renew_manifest(tmp_path / "last")
    assert train_tiny(tmp_path).result.resumed_at == (1, 0)
    assert f"written by other versions (torch 1.0 → {torch.__version__})" in caplog.text
