"""A checkpoint is whole or not there at all, and nothing in it is code."""

import json
from collections.abc import Callable
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
    load_weights,
    recover,
    save_checkpoint,
    verify_checkpoint,
)
from model_core.checkpoints.loading import load_model
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError, DiskError
from tests.checkpoints.fakes import renew_manifest
from tests.training.tiny import TinyModel, tiny_dataset


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save(tmp_path / "last", TinyModel())
    return tmp_path / "last"


def save(folder: Path, model: TinyModel) -> None:
    save_checkpoint(
        folder,
        model,
        settings=ModelSettings(),
        inputs=ModelInputs.from_dataset(tiny_dataset()),
        info={"epoch": 1, "step": 0},
        training={"moments": torch.ones(3)},
    )


@pytest.mark.parametrize("name", [WEIGHTS, TRAINING, "settings.json"])
def test_one_flipped_bit_in_any_file_is_noticed(checkpoint: Path, name: str) -> None:
    content = bytearray((checkpoint / name).read_bytes())
    content[len(content) // 2] ^= 1
    (checkpoint / name).write_bytes(content)
    with pytest.raises(CheckpointError) as refusal:
        verify_checkpoint(checkpoint)
    assert refusal.value.path == checkpoint / name


@pytest.mark.parametrize("name", [WEIGHTS, TRAINING, CHECKPOINT_MANIFEST])
def test_a_missing_file_is_noticed(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError) as refusal:
        verify_checkpoint(checkpoint)
    assert refusal.value.path == checkpoint / name


class Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('foreign code ran')",)


def test_foreign_code_in_a_checkpoint_with_right_hashes_is_refused_and_never_runs(checkpoint: Path) -> None:
    file = checkpoint / TRAINING
    torch.save({"moments": Foreign()}, file)
    renew_manifest(checkpoint)
    verify_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match="plain values") as refusal:
        load_training(checkpoint)
    assert refusal.value.path == file


def without_scale(inputs: dict[str, Any]) -> None:
    """As versions before the walk had a scale saved them."""
    del inputs["scale_c"], inputs["walk_c"], inputs["range_days"]


def ragged(inputs: dict[str, Any]) -> None:
    inputs["scale_c"][1][0].pop()


def beyond_the_window(inputs: dict[str, Any]) -> None:
    inputs["range_days"][-1] = inputs["window"]["seq_len"] + 1


@pytest.mark.parametrize("change", [without_scale, ragged, beyond_the_window])
def test_a_baseline_that_no_model_can_start_from_is_refused_in_one_sentence(
    checkpoint: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    saved = json.loads((checkpoint / "settings.json").read_text(encoding="utf-8"))
    change(saved["inputs"])
    (checkpoint / "settings.json").write_text(json.dumps(saved), encoding="utf-8")
    renew_manifest(checkpoint)
    with pytest.raises(CheckpointError, match="another version") as refusal:
        load_model(checkpoint)
    assert refusal.value.path == checkpoint / "settings.json"


def test_weights_of_another_model_are_a_sentence(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit") as refusal:
        load_weights(checkpoint, torch.nn.Linear(2, 2))
    assert refusal.value.path == checkpoint


def test_a_checkpoint_that_was_being_replaced_is_found_again(checkpoint: Path) -> None:
    checkpoint.rename(checkpoint.with_name(".last.old"))
    (checkpoint.parent / ".last-halfway").mkdir()
    recover(checkpoint)
    verify_checkpoint(checkpoint)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["last"]


def test_an_export_holds_what_a_reader_needs_and_not_the_optimizer(checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(checkpoint, tmp_path / "best")
    verify_checkpoint(tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        WEIGHTS,
        "settings.json",
        CHECKPOINT_MANIFEST,
    }


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"last \(.*look at what is there and give the same command again"):
        save(tmp_path / "file" / "last", TinyModel())
