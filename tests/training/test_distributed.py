"""Two processes train like one: the same losses, one set of files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from model_core.build import build_model
from model_core.checkpoints.files import WEIGHTS, load_training
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.distributed import ProcessGroup
from model_core.losses import forecast_loss
from model_core.training.precision import resolve_precision
from model_core.training.state import TrainState
from model_core.training.step import optimizer_step
from tests.nn.kit import awake
from tests.training.prepared import MODEL
from tests.training.processes import as_group, attempt_as_group
from tests.training.tiny import SETTINGS, InFloat64, TinyModel, json_lines, tiny_dataset, train_tiny

UNEVEN_ROWS = 96
"""49 train windows: the last batch holds a single one, which only one of the processes can have."""

GENTLE = SETTINGS.model_copy(update={"learning_rate": 1e-3})
"""At the default learning rate twelve steps make 1e-12 of float64's roundoff of 1e-16; at 1e-2, 1e-8."""
COMPUTED = 1e-9
"""Of what is computed in float64: relative for a loss; for a weight, a millionth of one step of Adam."""
LOGGED = 1e-6
"""Relative, of a step's losses, which are summed over the processes in float32: a few roundings of 6e-8."""

FIRST_STEP = 1e-5
"""Relative to each parameter's gradient: about 170 roundings of float32 (6e-8)."""
CANCELLED = 1e-6
"""Of the whole gradient: what is left where the large terms of a parameter's gradient cancel."""


def tiny_model() -> nn.Module:
    return TinyModel(dropout=0.0)


def real_model() -> nn.Module:
    return build_model(MODEL, ModelInputs.from_dataset(tiny_dataset(UNEVEN_ROWS)))


def train_in_float64(group: ProcessGroup, folder: Path, model: Callable[[], nn.Module]) -> None:
    torch.manual_seed(SETTINGS.seed)
    train_tiny(folder, GENTLE, InFloat64(model()), group, UNEVEN_ROWS)


def keep_first_gradient(group: ProcessGroup, file: Path, model: Callable[[], nn.Module]) -> None:
    """Take one optimizer step in float32 over every window, and save the gradient that the optimizer was given."""
    torch.manual_seed(SETTINGS.seed)
    windows = WindowSet(tiny_dataset(UNEVEN_ROWS), "train")
    state = TrainState.fresh(model(), SETTINGS, resolve_precision(SETTINGS), group)
    gradient: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> None:
        gradient.update(
            {name: w.grad.clone() for name, w in state.model.named_parameters() if w.grad is not None}
        )

    state.optimizer.register_step_pre_hook(keep)
    batches = torch.arange(len(windows)).split(SETTINGS.batch_size)
    loss = partial(forecast_loss, settings=MODEL.mixture)
    optimizer_step(state, windows, batches, loss, resolve_precision(SETTINGS), clip_norm=None)
    if group.is_main:
        save_file(gradient, file)


def awake_model() -> nn.Module:
    """With a head that is not zero, so that every parameter has a gradient."""
    return awake(real_model())


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
    assert as_group(1, train_in_float64, lambda rank: (one / str(rank), model)) == [0]
    assert as_group(2, train_in_float64, lambda rank: (two / str(rank), model)) == [0, 0]
    assert len(losses(one)) == 12
    for step, expected in zip(losses(two), losses(one), strict=True):
        assert step == pytest.approx(expected, rel=LOGGED)
    for epoch, wanted in zip(history(two), history(one), strict=True):
        assert epoch["validation_loss"] == pytest.approx(wanted["validation_loss"], rel=COMPUTED)
        assert epoch["train_loss"] == pytest.approx(wanted["train_loss"], rel=LOGGED)
    ours, theirs = (load_file(folder / "0" / "last" / WEIGHTS) for folder in (two, one))
    torch.testing.assert_close(ours, theirs, atol=COMPUTED, rtol=0.0)


@pytest.mark.parametrize("model", [real_model, awake_model])
def test_in_float32_the_first_gradient_of_two_processes_is_that_of_one(
    tmp_path: Path, model: Callable[[], nn.Module]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert as_group(1, keep_first_gradient, lambda _: (one, model)) == [0]
    assert as_group(2, keep_first_gradient, lambda _: (two, model)) == [0, 0]
    ours, theirs = load_file(two), load_file(one)
    assert ours.keys() == theirs.keys()
    assert any(gradient.any() for gradient in theirs.values())
    whole = torch.stack([gradient.norm() for gradient in theirs.values()]).norm()
    for name, gradient in theirs.items():
        difference = (ours[name] - gradient).norm()
        assert difference <= FIRST_STEP * gradient.norm() + CANCELLED * whole, name


def test_the_first_process_alone_writes_checkpoints(tmp_path: Path) -> None:
    assert attempt_as_group(tmp_path, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert {"best", "last"} <= {path.name for path in (tmp_path / "0").iterdir()}
    assert not {"best", "last"} & {path.name for path in (tmp_path / "1").iterdir()}


def test_sigterm_at_one_process_stops_all_at_the_same_step_and_the_team_goes_on(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert attempt_as_group(whole, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert attempt_as_group(stopped, SETTINGS, 2, UNEVEN_ROWS, calls=14, killed_rank=1) == [143, 143]
    assert len(losses(stopped)) == 6
    assert attempt_as_group(stopped, SETTINGS, 2, UNEVEN_ROWS) == [0, 0]
    assert losses(stopped) == losses(whole)


def test_shares_cover_all_windows_once() -> None:
    indices = torch.randperm(11)
    shares = [ProcessGroup(rank, 4).shard(indices) for rank in range(4)]
    assert sorted(torch.cat(shares).tolist()) == list(range(11))
