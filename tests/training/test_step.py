"""One optimizer step is the step of one large batch, whatever it was cut into."""

import copy
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from model_core.artifacts import read_json
from model_core.checkpoints.files import verify_checkpoint
from model_core.config.model import MixtureSettings
from model_core.config.run import TrainingSettings
from model_core.data.windows import Window, WindowSet
from model_core.distributed import SINGLE_PROCESS
from model_core.errors import SettingsError, TrainingError
from model_core.losses import forecast_loss
from model_core.nn.bundles import Forecast
from model_core.training.precision import Precision, resolve_precision
from model_core.training.seeds import random_states, restore_random_states, seed_everything
from model_core.training.state import CompiledReplica, TrainState
from model_core.training.step import StepResult, optimizer_step
from tests.training.tiny import SETTINGS, TinyModel, json_lines, tiny_dataset, train_tiny

LOSS = partial(forecast_loss, settings=MixtureSettings())
FP32 = Precision(torch.device("cpu"), "fp32")


def one_step(
    model: TinyModel, chunks: tuple[Tensor, ...], clip: float | None = None, precision: Precision = FP32
) -> StepResult:
    state = TrainState.fresh(model, SETTINGS, precision, SINGLE_PROCESS)
    # Adam's first step is the sign of the gradient: it would turn a rounding error into a whole step.
    state.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    return optimizer_step(state, WindowSet(tiny_dataset(), "train"), chunks, LOSS, precision, clip)


def weights(model: TinyModel) -> Tensor:
    return torch.cat([w.detach().flatten() for w in model.parameters()])


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_accumulated_micro_batches_make_the_step_of_one_batch(size: int) -> None:
    whole = TinyModel(dropout=0.0)
    cut = copy.deepcopy(whole)
    indices = torch.arange(10)
    one = one_step(whole, (indices,))
    many = one_step(cut, indices.split(size))
    assert many.losses == pytest.approx(one.losses)
    assert many.gradient_norm == pytest.approx(one.gradient_norm)
    torch.testing.assert_close(weights(cut), weights(whole))


def test_the_reported_norm_is_that_before_clipping() -> None:
    free, clipped = TinyModel(dropout=0.0), TinyModel(dropout=0.0)
    clipped.load_state_dict(free.state_dict())
    before = one_step(free, (torch.arange(8),))
    after = one_step(clipped, (torch.arange(8),), clip=1e-3)
    assert before.gradient_norm == after.gradient_norm > 1e-3


def test_bf16_on_the_cpu_follows_fp32_closely_and_keeps_fp32_weights() -> None:
    full, half = TinyModel(dropout=0.0), TinyModel(dropout=0.0)
    half.load_state_dict(full.state_dict())
    exact = one_step(full, (torch.arange(16),))
    rounded = one_step(half, (torch.arange(16),), precision=Precision(torch.device("cpu"), "bf16"))
    assert rounded.losses["total"] != exact.losses["total"]
    assert rounded.losses["total"] == pytest.approx(exact.losses["total"], rel=1e-2)
    assert all(w.dtype == torch.float32 for w in half.parameters())


def test_a_scaled_loss_makes_the_same_step_after_unscaling() -> None:
    plain, scaled = TinyModel(dropout=0.0), TinyModel(dropout=0.0)
    scaled.load_state_dict(plain.state_dict())
    expected = one_step(plain, (torch.arange(16),), clip=0.1)
    state = TrainState.fresh(scaled, SETTINGS, FP32, SINGLE_PROCESS)
    state.optimizer = torch.optim.SGD(scaled.parameters(), lr=0.1, fused=True)
    # The scaler that CUDA's fp16 uses, on the CPU: a power of two, so unscaling is exact.
    state.scaler = torch.amp.GradScaler("cpu", enabled=True)
    got = optimizer_step(state, WindowSet(tiny_dataset(), "train"), (torch.arange(16),), LOSS, FP32, 0.1)
    assert got.gradient_norm == pytest.approx(expected.gradient_norm)
    torch.testing.assert_close(weights(scaled), weights(plain))


def test_fp16_halves_its_scale_until_the_gradient_fits_and_leaves_the_weights_alone_meanwhile() -> None:
    model, fp16 = TinyModel(dropout=0.0), Precision(torch.device("cpu"), "fp16")
    state, windows = (
        TrainState.fresh(model, SETTINGS, fp16, SINGLE_PROCESS),
        WindowSet(tiny_dataset(), "train"),
    )
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    before = weights(model)
    for halvings in range(30):
        assert state.scaler.get_scale() == 2.0 ** (30 - halvings)
        result = optimizer_step(state, windows, (torch.arange(8),), LOSS, fp16, 1.0)
        if result.applied:
            break
        assert torch.equal(weights(model), before)
        assert not math.isfinite(result.gradient_norm)
    assert halvings > 0
    assert not torch.equal(weights(model), before)


def test_the_gradient_scaler_comes_back_exactly() -> None:
    def state_with_scaler() -> TrainState:
        state = TrainState.fresh(TinyModel(), SETTINGS, FP32, SINGLE_PROCESS)
        state.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        return state

    before, after = state_with_scaler(), state_with_scaler()
    windows = WindowSet(tiny_dataset(), "train")
    for _ in range(3):
        optimizer_step(before, windows, (torch.arange(4),), LOSS, FP32, None)
    after.restore(before.capture())
    assert after.scaler.state_dict() == before.scaler.state_dict()
    assert (after.scaler.get_scale(), after.scaler.state_dict()["_growth_tracker"]) == (16.0, 1)


def test_random_states_come_back_exactly() -> None:
    seed_everything(5)
    states = random_states()
    first = torch.rand(3)
    restore_random_states(states)
    assert torch.equal(torch.rand(3), first)


def test_asking_for_what_the_machine_lacks_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="fp16 needs a CUDA device"):
        resolve_precision(SETTINGS.model_copy(update={"precision": "fp16"}))
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="torch sees no CUDA device"):
            resolve_precision(SETTINGS.model_copy(update={"device": "cuda"}))


class Diverging(TinyModel):
    """Its forecasts are NaN for a stretch of forward passes in training."""

    def __init__(self, first: int, stop: int) -> None:
        super().__init__()
        self.calls, self.bad = 0, range(first, stop)

    def forward(self, window: Window) -> Forecast:
        forecast = super().forward(window)
        self.calls += self.training
        poisoned = self.training and self.calls in self.bad
        return replace(forecast, point=forecast.point * float("nan")) if poisoned else forecast


def test_one_bad_step_is_reported_and_leaves_the_weights_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = train_tiny(tmp_path, model=Diverging(3, 4))
    assert "the weights were not changed (1 of 3 in a row)" in caplog.text
    assert pq.read_table(tmp_path / "history.parquet")["skipped_steps"].to_pylist() == [1, 0, 0]
    assert bool(weights(trained.model).isfinite().all())  # type: ignore[arg-type]
    bad = json_lines(tmp_path / "steps.jsonl")[1]
    assert (bad["taken"], bad["loss_total"]) == (False, None)


def test_three_bad_steps_in_a_row_stop_the_run_with_what_is_needed_to_find_out_why(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"not finite for 3 steps in a row \(epoch 1, step 4, windows of 2001"
    ):
        train_tiny(tmp_path, model=Diverging(3, 99))
    verify_checkpoint(tmp_path / "debug")
    found = read_json(tmp_path / "nonfinite.json")
    assert found["gradient_norms_by_part"] == {"hidden": "nan", "out": "nan"}
    assert len(found["anchor_dates"]) == len(found["windows"])  # type: ignore[arg-type]
    assert json_lines(tmp_path / "memory_diagnostics.log")[-1]["stage"] == "exception"


class Hungry(TinyModel):
    """Runs out of memory on batches above a size, as the CUDA allocator does."""

    def __init__(self, largest: int) -> None:
        super().__init__(dropout=0.0)
        self.largest = largest

    def forward(self, window: Window) -> Forecast:
        if self.training and len(window) > self.largest:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried a batch of {len(window)}.")
        return super().forward(window)


def test_out_of_memory_halves_the_batches_once_and_keeps_the_losses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rich, poor = Hungry(99), Hungry(4)
    poor.load_state_dict(rich.state_dict())
    enough = train_tiny(tmp_path / "enough", model=rich).result
    short = train_tiny(tmp_path / "short", model=poor).result
    assert caplog.text.count("from now on two halves") == 1
    assert [row["train_loss"] for row in short.history] == pytest.approx(
        [r["train_loss"] for r in enough.history]
    )
    stages = [line["stage"] for line in json_lines(tmp_path / "short" / "memory_diagnostics.log")]
    assert stages.count("out_of_memory") == 1


def test_half_batches_that_do_not_fit_either_are_a_sentence_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"training\.batch_size .* model\.gradient_checkpointing"):
        train_tiny(tmp_path, model=Hungry(3))


def test_a_compiled_model_takes_full_batches_and_the_plain_one_the_short_last_one() -> None:
    model = TinyModel(dropout=0.0)
    state = TrainState.fresh(model, SETTINGS, FP32, SINGLE_PROCESS)
    assert state.compiled is None
    sizes: list[int] = []

    def compiled(batch: Window) -> Forecast:
        sizes.append(len(batch))
        return model(batch)

    state.compiled = CompiledReplica(compiled, batch_size=8)
    order = torch.arange(19)
    optimizer_step(state, WindowSet(tiny_dataset(), "train"), order.split(8), LOSS, FP32, None)
    assert sizes == [8, 8]


@pytest.mark.parametrize(("written", "mode"), [(False, "off"), (True, "default"), ("off", "off")])
def test_compile_understands_what_it_was_before_it_had_modes(written: object, mode: str) -> None:
    assert TrainingSettings.model_validate({"compile": written}).compile == mode
