"""Two processes train like one: the same losses, one set of files."""

from pathlib import Path

import pytest
import torch

from model_core.checkpoints.files import load_training
from model_core.training.distributed import Team
from tests.training.processes import attempt_as_team
from tests.training.tiny import SETTINGS, json_lines

UNEVEN_ROWS = 96
"""49 train windows: the last batch holds a single one, which only one of the processes can have."""

COMPUTED = 1e-10
"""Relative: the tiny model trains in float64 (unit roundoff 1e-16), and twelve steps amplify less than 1e6."""
LOGGED = 1e-6
"""Relative: a step's losses are summed over the processes in float32: a few roundings of 6e-8."""


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(line["loss_total"], line["gradient_norm"]) for line in json_lines(folder / "0" / "steps.jsonl")]


def history(folder: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = load_training(folder / "0" / "last")["progress"]["history"]
    return rows


def test_two_processes_have_the_losses_of_one_with_the_same_batch(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert attempt_as_team(one, SETTINGS, 1, UNEVEN_ROWS) == [0]
    assert attempt_as_team(two, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert len(losses(one)) == 12
    for ours, theirs in zip(losses(two), losses(one), strict=True):
        assert ours == pytest.approx(theirs, rel=LOGGED)
    for row, expected in zip(history(two), history(one), strict=True):
        assert row["validation_loss"] == pytest.approx(expected["validation_loss"], rel=COMPUTED)
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=LOGGED)


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
