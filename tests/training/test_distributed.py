"""Two processes train like one: the same losses, one set of files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from model_core.build import build_model
from model_core.checkpoints.files import WEIGHTS, load_training
from model_core.data.inputs import ModelInputs
from model_core.training.distributed import Team
from tests.training.prepared import MODEL
from tests.training.processes import as_team, attempt_as_team
from tests.training.tiny import SETTINGS, InFloat64, TinyModel, json_lines, tiny_dataset, train_tiny

UNEVEN_ROWS = 96
"""49 train windows: the last batch holds a single one, which only one of the processes can have."""

GENTLE = SETTINGS.model_copy(update={"learning_rate": 1e-3})
"""At the default learning rate twelve steps make 1e-12 of float64's roundoff of 1e-16; at 1e-2, 1e-8."""
COMPUTED = 1e-9
"""Of what is computed in float64: relative for a loss; for a weight, a millionth of one step of Adam."""
LOGGED = 1e-6
"""Relative, of a step's losses, which are summed over the processes in float32: a few roundings of 6e-8."""


def tiny_model() -> nn.Module:
    return TinyModel(dropout=0.0)


def real_model() -> nn.Module:
    return build_model(MODEL, ModelInputs.from_dataset(tiny_dataset(UNEVEN_ROWS)))


def train_in_float64(team: Team, folder: Path, model: Callable[[], nn.Module]) -> None:
    torch.manual_seed(SETTINGS.seed)
    train_tiny(folder, GENTLE, InFloat64(model()), team, UNEVEN_ROWS)


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(line["loss_total"], line["gradient_norm"]) for line in json_lines(folder / "0" / "steps.jsonl")]


def history(folder: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = load_training(folder / "0" / "last")["progress"]["history"]
    return rows


@pytest.mark.parametrize("model", [tiny_model, real_model])
def test_in_float64_two_processes_have_the_losses_of_one_with_the_same_batch(
    tmp_path: Path, model: Callable[[], nn.Module]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert as_team(1, train_in_float64, lambda rank: (one / str(rank), model)) == [0]
    assert as_team(2, train_in_float64, lambda rank: (two / str(rank), model)) == [0, 0]
    assert len(losses(one)) == 12
    for step, expected in zip(losses(two), losses(one), strict=True):
        assert step == pytest.approx(expected, rel=LOGGED)
    for epoch, wanted in zip(history(two), history(one), strict=True):
        assert epoch["validation_loss"] == pytest.approx(wanted["validation_loss"], rel=COMPUTED)
        assert epoch["train_loss"] == pytest.approx(wanted["train_loss"], rel=LOGGED)
    ours, theirs = (load_file(folder / "0" / "last" / WEIGHTS) for folder in (two, one))
    torch.testing.assert_close(ours, theirs, atol=COMPUTED, rtol=0.0)


def test_the_first_process_alone_writes_checkpoints(tmp_path: Path) -> None:
    assert attempt_as_team(tmp_path, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert {"best", "last"} <= {path.name for path in (tmp_path / "0").iterdir()}
    assert not {"best", "last"} & {path.name for path in (tmp_path / "1").iterdir()}


def test_sigterm_at_one_process_stops_all_at_the_same_step_and_the_team_goes_on(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert attempt_as_team(whole, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert attempt_as_team(stopped, SETTINGS, 2, UNEVEN_ROWS, calls=12, killed_rank=1) == [143, 143]
    assert len(losses(stopped)) == 6
    assert attempt_as_team(stopped, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert losses(stopped) == losses(whole)


def test_shares_cover_all_windows_once() -> None:
    indices = torch.randperm(11)
    shares = [Team(rank, 4).share(indices) for rank in range(4)]
    assert sorted(torch.cat(shares).tolist()) == list(range(11))
