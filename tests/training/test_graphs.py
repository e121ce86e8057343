"""A recorded step does what a plain one does, without asking the device for a number in between."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model_core.build import build_model
from model_core.config.load import load_settings
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window, WindowSet
from model_core.distributed import SINGLE_PROCESS, ProcessGroup
from model_core.losses import LossParts, forecast_loss
from model_core.nn.bundles import Forecast
from model_core.training.graphs import PLAIN_STEPS, StepGraphs, can_record
from model_core.training.loop import train
from model_core.training.memory import memory_log
from model_core.training.outcome import TrainingResult
from model_core.training.precision import Kind, Precision
from model_core.training.seeds import seed_everything
from model_core.training.state import TrainState
from model_core.training.step import StepResult, launch_step
from tests.training.test_step import LOSS
from tests.training.tiny import SETTINGS, TinyModel, json_lines, tiny_dataset

CUDA = SETTINGS.model_copy(update={"device": "cuda"})
FP32 = Precision(torch.device("cuda"), "fp32")
ORDERS = [torch.arange(first, first + 8) for first in range(0, 48, 8)] + [torch.arange(46, 52)]
"""Batches of eight windows, and a shorter one, as at the end of an epoch."""
CONFIGS = Path(__file__).parent.parent.parent / "configs"
SMALL = [
    *(f"model.{name}=1" for name in ("e_layers", "d_layers", "celestial_fusion_layers")),
    *("model.d_model=26", "model.n_heads=2", "model.d_ff=32", "model.celestial_dim=4"),
]


@contextmanager
def no_wait_for_the_device() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("changes", "model", "group", "possible"),
    [
        ({}, {}, SINGLE_PROCESS, True),
        ({"compile": "default"}, {}, SINGLE_PROCESS, True),
        ({"compile": "reduce-overhead"}, {}, SINGLE_PROCESS, False),
        ({"cuda_graph": False}, {}, SINGLE_PROCESS, False),
        ({}, {"gradient_checkpointing": True}, SINGLE_PROCESS, False),
        ({}, {}, ProcessGroup(0, 2), False),
    ],
)
def test_what_is_recorded(
    changes: dict[str, object], model: dict[str, object], group: ProcessGroup, possible: bool
) -> None:
    settings = TrainingSettings.model_validate(changes)
    assert can_record(settings, ModelSettings.model_validate(model), FP32, group) is possible
    on_cpu = Precision(torch.device("cpu"), "fp32")
    assert not can_record(settings, ModelSettings.model_validate(model), on_cpu, group)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_recorded_steps_end_with_the_weights_of_plain_ones_bit_for_bit(precision: Kind) -> None:
    def trained(recorded: bool) -> tuple[Tensor, list[StepResult]]:
        take, state = stepper(recorded, precision=precision)
        results = []
        for number, batch in enumerate(3 * ORDERS):
            state.optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
            results.append(take([batch[:4].cuda(), batch[4:].cuda()]))
        return weights(state), results

    plain, plain_results = trained(recorded=False)
    got, results = trained(recorded=True)
    assert repr(results) == repr(plain_results)  # nan is nan in the first steps of fp16
    assert torch.equal(got, plain)


@pytest.mark.gpu
def test_a_plain_step_never_waits_for_the_device() -> None:
    take, state = stepper(recorded=False)
    take([ORDERS[0].cuda()])
    batch = ORDERS[1].cuda()
    windows = WindowSet(tiny_dataset(), "train", "cuda")
    with no_wait_for_the_device():
        launched = launch_step(state, windows, [batch], LOSS, FP32, 1.0)
    assert launched.read(state.model).applied


@pytest.mark.gpu
@pytest.mark.parametrize("more", [(), ("mixture",), ("sequential_mixture",)], ids=" ".join)
@pytest.mark.parametrize(
    "path",
    [CONFIGS / "celestial_enhanced_pgat_production.yaml", *sorted((CONFIGS / "ablations").glob("*.yaml"))],
    ids=lambda path: path.stem,
)
def test_every_model_can_be_recorded_and_learns_as_without(path: Path, more: tuple[str, ...]) -> None:
    head = [f"model.mixture.kind={kind}" for kind in more]
    settings = load_settings(
        path, [*SMALL, *head, f"model.use_mixture_decoder={bool(more)}", "training.device=cuda"]
    )
    dataset = tiny_dataset()

    def losses(recorded: bool) -> list[float]:
        seed_everything(3)
        model = build_model(settings.model, ModelInputs.from_dataset(dataset)).cuda().train()
        windows = WindowSet(dataset, "train", "cuda")
        state = TrainState.fresh(model, settings.training, FP32, SINGLE_PROCESS)
        loss = partial(forecast_loss, settings=settings.model.mixture)
        graphs = StepGraphs(state, windows, loss, FP32, 1.0)
        found = []
        for batch in 2 * ORDERS[:-1]:
            if recorded:
                found.append(graphs.step([batch.cuda()]).losses["total"])
            else:
                launched = launch_step(state, windows, [batch.cuda()], loss, FP32, 1.0)
                found.append(launched.read(model).losses["total"])
        return found

    # Not bit for bit: some kernels add up in the order in which their threads arrive.
    assert losses(recorded=True) == pytest.approx(losses(recorded=False), rel=1e-3)


@pytest.mark.gpu
def test_a_recorded_step_with_a_loss_that_is_not_finite_leaves_weights_and_moments_alone() -> None:
    def loss(forecast: Forecast, target: Tensor) -> LossParts:
        parts = LOSS(forecast, target)
        # 0 / 0 for the batch whose first target is the one of window 40.
        factor = torch.where((target[0, 0, 0] == poison).any(), torch.nan, 1.0)
        return LossParts(parts.total * factor, parts.parts)

    windows = WindowSet(tiny_dataset(), "train", "cuda")
    poison = windows.batch(torch.tensor([40])).target[0, 0, 0].clone()
    take, state = stepper(recorded=True, loss=loss)
    for batch in ORDERS[: PLAIN_STEPS + 1]:
        assert take([batch.cuda()]).applied
    before = weights(state), moments(state)
    result = take([ORDERS[5].cuda()])
    assert math.isnan(result.losses["total"])
    assert set(result.norms_by_part) == {"hidden", "out"}
    assert torch.equal(weights(state), before[0])
    assert torch.equal(moments(state), before[1])
    assert take([ORDERS[0].cuda()]).applied
    assert not torch.equal(weights(state), before[0])


@pytest.mark.gpu
def test_a_run_with_recorded_steps_goes_on_from_its_checkpoint_as_one_without(tmp_path: Path) -> None:
    whole = run(tmp_path / "plain", CUDA.model_copy(update={"cuda_graph": False}))
    run(tmp_path / "cut", CUDA.model_copy(update={"train_epochs": 2, "lradj": "constant"}))
    steady = CUDA.model_copy(update={"lradj": "constant"})
    cut = run(tmp_path / "cut", steady)
    straight = run(tmp_path / "straight", steady)
    assert cut.resumed_at == (2, 0)
    strip = [{k: v for k, v in row.items() if "seconds" not in k and "mb" not in k} for row in cut.history]
    assert strip == [
        {k: v for k, v in row.items() if "seconds" not in k and "mb" not in k} for row in straight.history
    ]
    again = run(tmp_path / "recorded", CUDA)
    assert again.best_validation_loss == whole.best_validation_loss


class HungryWhenRecorded(TinyModel):
    """Asks for a petabyte while a graph is recorded of a batch of more than four windows."""

    def forward(self, window: Window) -> Forecast:
        if torch.cuda.is_current_stream_capturing() and len(window) > 4:
            torch.empty(10**15, dtype=torch.uint8, device="cuda")
        return super().forward(window)


@pytest.mark.gpu
def test_a_recording_that_runs_out_of_memory_goes_on_with_halves(tmp_path: Path) -> None:
    assert run(tmp_path, CUDA, HungryWhenRecorded(dropout=0.0)).epochs == 3
    stages = [line["stage"] for line in json_lines(tmp_path / "memory_diagnostics.log")]
    assert stages.count("out_of_memory") == 1


def stepper(
    recorded: bool,
    precision: Kind = "fp32",
    loss: Callable[[Forecast, Tensor], LossParts] = LOSS,
) -> tuple[Callable[[list[Tensor]], StepResult], TrainState]:
    """What takes a step of a tiny model with dropout, and its state."""
    seed_everything(3)
    arithmetic = Precision(torch.device("cuda"), precision)
    windows = WindowSet(tiny_dataset(), "train", "cuda")
    state = TrainState.fresh(TinyModel().cuda().train(), CUDA, arithmetic, SINGLE_PROCESS)
    if recorded:
        return StepGraphs(state, windows, loss, arithmetic, 0.1).step, state

    def plain(batches: list[Tensor]) -> StepResult:
        return launch_step(state, windows, batches, loss, arithmetic, 0.1).read(state.model)

    return plain, state


def weights(state: TrainState) -> Tensor:
    """All weights of the model, copied."""
    return torch.cat([weight.detach().flatten() for weight in state.model.parameters()])


def moments(state: TrainState) -> Tensor:
    """All of the optimizer's numbers."""
    kept = [value.flatten() for of_weight in state.optimizer.state.values() for value in of_weight.values()]
    return torch.cat(kept).clone()


def run(folder: Path, settings: TrainingSettings, model: nn.Module | None = None) -> TrainingResult:
    """A run of a tiny model on the GPU."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = tiny_dataset()
    seed_everything(1)
    with memory_log(folder / "memory_diagnostics.log", torch.device("cuda"), 1) as memory:
        return train(
            (TinyModel() if model is None else model).cuda(),
            WindowSet(dataset, "train", "cuda"),
            WindowSet(dataset, "validation", "cuda"),
            settings,
            folder,
            model_settings=ModelSettings(),
            inputs=ModelInputs.from_dataset(dataset),
            memory=memory,
        )
