"""The moving average of the weights: its formula, where it is used, and that a run with one goes on exactly."""

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from model_core.checkpoints.files import WEIGHTS, load_training
from model_core.checkpoints.local import BEST, LAST
from model_core.config.model import MixtureSettings
from model_core.data.windows import WindowSet
from model_core.errors import CheckpointError
from model_core.losses import forecast_loss
from model_core.training.averaging import WeightAverage, decay_at
from tests.training.processes import attempt, attempt_as_group
from tests.training.test_exact_resume import EVERY_STEP, what_is_left
from tests.training.tiny import SETTINGS, TinyModel, tiny_dataset, train_tiny

AVERAGED = SETTINGS.model_copy(update={"ema_decay": 0.8})


def test_an_average_is_the_weighted_sum_of_all_weights_it_has_seen() -> None:
    model = nn.Linear(1, 1, bias=False)
    seen = [1.0, 4.0, -2.0, 8.0]
    with torch.no_grad():
        model.weight.fill_(seen[0])
    average = WeightAverage(model, 0.3)
    expected = seen[0]
    for step, value in enumerate(seen[1:], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.follow(model)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    (averaged,) = average.module.parameters()
    assert averaged.item() == pytest.approx(expected, rel=1e-6)
    assert model.weight.item() == seen[-1]
    assert [decay_at(step, 0.3) for step in (1, 100)] == [2 / 11, 0.3]


def test_steps_are_the_same_bits_with_and_without_an_average(tmp_path: Path) -> None:
    train_tiny(tmp_path / "plain", SETTINGS)
    train_tiny(tmp_path / "averaged", AVERAGED)
    plain = load_file(tmp_path / "plain" / LAST / WEIGHTS)
    state = load_training(tmp_path / "averaged" / LAST)
    assert state["averaged_steps"] == 12
    assert all(torch.equal(state["weights"][name], weight) for name, weight in plain.items())
    averaged = load_file(tmp_path / "averaged" / LAST / WEIGHTS)
    assert not any(torch.equal(averaged[name], weight) for name, weight in plain.items())


def test_what_is_validated_and_saved_is_the_average(tmp_path: Path) -> None:
    result = train_tiny(tmp_path, AVERAGED).result
    model = TinyModel().eval()
    model.load_state_dict(load_file(tmp_path / BEST / WEIGHTS))
    windows = WindowSet(tiny_dataset(), "validation")
    batch = windows.batch(torch.arange(len(windows)))
    with torch.no_grad():
        loss = forecast_loss(model(batch), batch.target, MixtureSettings()).total
    assert float(loss) == pytest.approx(result.best_validation_loss, rel=1e-6)
    assert result.best_epoch > 0


@pytest.mark.parametrize(
    ("calls", "number"), [(8, signal.SIGKILL), (14, signal.SIGKILL), (20, signal.SIGTERM)]
)
def test_a_stopped_run_with_an_average_goes_on_bit_for_bit(
    calls: int, number: signal.Signals, tmp_path: Path
) -> None:
    settings = AVERAGED.model_copy(update={"checkpoint_interval_minutes": 0.0})
    assert attempt(tmp_path / "whole", settings) == 0
    assert attempt(tmp_path / "stopped", settings, "forward", calls, number) in {-signal.SIGKILL, 143}
    assert attempt(tmp_path / "stopped", settings) == 0
    assert what_is_left(tmp_path / "stopped") == what_is_left(tmp_path / "whole")
    whole, stopped = (load_training(tmp_path / name / LAST)["weights"] for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_a_team_averages_alike_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    settings = AVERAGED.model_copy(update={"train_epochs": 2})
    assert attempt_as_group(tmp_path, settings, size=2, rows=100) == [0, 0]
    longer = settings.model_copy(update={"train_epochs": 3})
    assert attempt_as_group(tmp_path, longer, size=2, rows=100) == [0, 0]
    assert load_training(tmp_path / "0" / LAST)["averaged_steps"] == 12


def test_a_run_without_an_average_does_not_go_on_with_one(tmp_path: Path) -> None:
    train_tiny(tmp_path, EVERY_STEP)
    with pytest.raises(CheckpointError, match=r"training\.ema_decay was None, now 0\.8"):
        train_tiny(tmp_path, AVERAGED)
