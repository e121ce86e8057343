"""What diagnostics, checkpoints and mirroring cost beside an optimizer step; one JSON line a case.

    python -m benchmarks.training_overhead [--config configs/….yaml] [--steps 20] [--set a.b=c …]

Costs are measured call by call (median) and divided by the time of a step (the fastest, so that no share
looks smaller than it is): on a busy machine the difference of two whole runs would be noise.
``peak_memory`` trains a few steps in a process of its own.
"""

# Before torch, whose threads then wait as those of the steps do.
import components  # noqa: F401

# isort: split
import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from components.prepare_data.step import run
from model_core.build import build_model
from model_core.checkpoints.files import save_checkpoint
from model_core.checkpoints.mirror import Mirror, open_mirror
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.data.dataset import MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.deadlines import Ending
from model_core.distributed import SINGLE_PROCESS
from model_core.losses import forecast_loss
from model_core.training.memory import memory_log
from model_core.training.precision import resolve_precision
from model_core.training.runlog import RunLog
from model_core.training.state import TrainState
from model_core.training.step import StepResult, optimizer_step


class Bench:
    """A model of the settings on a prepared dataset, ready to take steps."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        dataset = MarketDataset.open(folder)
        self.training, self.settings = settings.training, settings
        self.precision = resolve_precision(self.training)
        self.windows = WindowSet(dataset, "train", self.precision.device)
        self.inputs = ModelInputs.from_dataset(dataset)
        torch.manual_seed(self.training.seed)
        model = build_model(settings.model, self.inputs).to(self.precision.device).train()
        self.state = TrainState.fresh(model, self.training, self.precision, SINGLE_PROCESS)
        self.loss = partial(forecast_loss, settings=settings.model.mixture)

    def step(self) -> StepResult:
        """One optimizer step over ``gradient_accumulation_steps`` batches."""
        size, count = self.training.batch_size, self.training.gradient_accumulation_steps
        batches = torch.randint(len(self.windows), (size * count,)).split(size)
        return optimizer_step(
            self.state, self.windows, batches, self.loss, self.precision, self.training.clip_grad_norm
        )

    def save(self, folder: Path) -> None:
        """A whole checkpoint."""
        save_checkpoint(
            folder,
            self.state.model,
            settings=self.settings.model,
            inputs=self.inputs,
            info={"epoch": 1, "step": 0},
            training=self.state.capture(),
        )


def times(function: Callable[[], Any], count: int) -> list[float]:
    """Seconds of each of ``count`` calls."""
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return taken


def report(case: str, **values: object) -> None:
    """Print a case as one JSON line."""
    print(json.dumps({"case": case} | values))


def overheads(bench: Bench, steps: int, folder: Path) -> None:
    """Diagnostics, history and checkpoints beside a step."""
    training = bench.training
    bench.step()
    step = min(times(bench.step, steps))
    parameters = sum(p.numel() for p in bench.state.model.parameters())
    report("step", seconds=step, parameters=parameters, windows=training.batch_size)

    with memory_log(folder / "memory.log", bench.precision.device, training.memory_log_interval) as memory:
        line = median(times(partial(memory.stage, "batch"), 200))
        per_step = line * training.gradient_accumulation_steps / training.memory_log_interval
        report("memory diagnostics", seconds_per_line=line, share_of_step=per_step / step)
    progress = bench.state.progress
    progress.windows, progress.seconds, progress.step = 1, 1.0, training.step_log_interval
    with closing(RunLog(folder, training, progress)) as runlog:
        result = bench.step()
        line = median(times(partial(runlog.step, progress, 1000, result, 1e-3, 0.0), 200))
        per_step = line / training.step_log_interval
        report("steps.jsonl and TensorBoard", seconds_per_line=line, share_of_step=per_step / step)
    save = median(times(partial(bench.save, folder / "last"), 5))
    minutes = training.checkpoint_interval_minutes or 10.0
    report("checkpoint", seconds=save, share_of_training_time=save / (60 * minutes))


def mirroring(bench: Bench, steps: int, folder: Path) -> None:
    """Steps while nothing is uploaded and while checkpoints are uploaded all the time, in turns."""
    bench.save(folder / "last")
    mirror: Mirror = open_mirror(str(folder / "store"), folder, 2, Ending(5.0, 5.0))
    epochs = iter(range(1, 10**6))
    with mirror:
        submit = median(times(lambda: mirror.submit(folder, ["last"], next(epochs), 0), 20))
        idle: list[float] = []
        busy: list[float] = []
        for _ in range(steps):
            time.sleep(0.2)
            idle += times(bench.step, 1)
            mirror.submit(folder, ["last"], next(epochs), 0)
            busy += times(bench.step, 1)
        report(
            "mirroring",
            seconds_the_step_waits=submit,
            step_seconds_idle=min(idle),
            step_seconds_while_uploading=min(busy),
        )


def peak_memory(config: str, overrides: list[str], dataset: Path, case: str) -> None:
    """Largest resident size of a process that takes three steps."""
    bench = Bench(load_settings(config, overrides), dataset)
    with (
        tempfile.TemporaryDirectory() as folder,
        memory_log(Path(folder) / "memory.log", bench.precision.device, 1) as memory,
    ):
        memory.stage("model")
        before = memory.peak_mb
        for _ in range(3):
            bench.step()
        memory.stage("end")
        report(case, before_steps_mb=before, peak_mb=memory.peak_mb)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/celestial_enhanced_pgat_production.yaml")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="a.b=c")
    given = parser.parse_args()
    settings = load_settings(given.config, given.overrides)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Path(scratch) / "dataset"
        run(source="sample://synthetic", dataset=dataset, settings=settings.data)
        bench = Bench(settings, dataset)
        (Path(scratch) / "a").mkdir()
        overheads(bench, given.steps, Path(scratch) / "a")
        (Path(scratch) / "b").mkdir()
        mirroring(bench, given.steps, Path(scratch) / "b")
        for switch in ("false", "true"):
            overrides = [*given.overrides, f"model.gradient_checkpointing={switch}"]
            case = f"peak memory, model.gradient_checkpointing {switch}"
            # A process of its own, since the kernel's maximum of this one is past already.
            process = multiprocessing.get_context("spawn").Process(
                target=peak_memory, args=(given.config, overrides, dataset, case)
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()
