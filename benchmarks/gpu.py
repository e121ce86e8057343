"""Training steps on a CUDA device: seconds, samples a second, memory, and what bounds them.

    python benchmarks/gpu.py DATASET                          the table of benchmarks/gpu.sh
    python benchmarks/gpu.py DATASET --batch 16 256 --precision bf16 --mode plain recorded
    python benchmarks/gpu.py DATASET --device cpu --batch 2 --steps 1 --set model.e_layers=1     a rehearsal

DATASET is an output folder of ``prepare_data``; its windows are what the steps are made of. Prints one JSON line per
case, after two lines with what the card can do: a large copy and a large matrix product. A case that fails is a line
with its error, and the exit code is then 1.

modes: ``plain`` asks for every kernel anew, ``recorded`` replays a CUDA graph (``training.cuda_graph``), ``compiled``
records a model that ``torch.compile`` fused, ``reduce-overhead`` leaves the recording to ``torch.compile``.
"""

import components  # noqa: F401 - before torch, whose threads then wait as those of the steps do

# isort: split
import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from model_core.build import build_model
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.data.dataset import MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.distributed import SINGLE_PROCESS
from model_core.losses import forecast_loss
from model_core.training.graphs import PLAIN_STEPS, StepGraphs
from model_core.training.precision import Kind, Precision
from model_core.training.seeds import epoch_order, seed_everything
from model_core.training.state import TrainState
from model_core.training.step import StepResult, optimizer_step

CONFIG = "configs/celestial_enhanced_pgat_production.yaml"
MODES = ("plain", "recorded", "compiled", "reduce-overhead")
PRECISIONS: tuple[Kind, ...] = ("fp32", "tf32", "bf16")
WARM_UP_STEPS = PLAIN_STEPS + 2


class Stepper:
    """A model in training, one batch a step."""

    def __init__(self, settings: Settings, dataset: MarketDataset, batch: int, precision: Kind, mode: str):
        training = settings.training
        seed_everything(training.seed)
        device = torch.device(training.device)
        arithmetic = Precision(device, precision)
        arithmetic.prepare_device()
        self.windows = WindowSet(dataset, "train", device)
        model = build_model(settings.model, ModelInputs.from_dataset(dataset)).to(device).train()
        compile_mode = {"compiled": "default", "reduce-overhead": "reduce-overhead"}.get(mode, "off")
        training = training.model_copy(update={"compile": compile_mode, "batch_size": batch})
        self.state = TrainState.fresh(model, training, arithmetic, SINGLE_PROCESS)
        loss = partial(forecast_loss, settings=settings.model.mixture)
        order = epoch_order(len(self.windows), training.seed, 0).to(device)
        self._batches = [b for b in order.split(batch) if len(b) == batch]
        self._taken = 0
        graphs = None
        if mode in ("recorded", "compiled") and device.type == "cuda":
            graphs = StepGraphs(self.state, self.windows, loss, arithmetic, training.clip_grad_norm)
        rest = (loss, arithmetic, training.clip_grad_norm)
        self._step: Callable[[Any], StepResult] = (
            graphs.step if graphs else lambda chunks: optimizer_step(self.state, self.windows, chunks, *rest)
        )

    def __call__(self) -> StepResult:
        """The next step, up to its numbers."""
        batch = self._batches[self._taken % len(self._batches)]
        self._taken += 1
        return self._step((batch,))


def run_case(
    settings: Settings, dataset: MarketDataset, batch: int, precision: Kind, mode: str, steps: int
) -> dict[str, Any]:
    """Seconds of ``steps`` training steps after some to warm up."""
    on_gpu = settings.training.device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    stepper = Stepper(settings, dataset, batch, precision, mode)
    losses = [stepper().losses["total"] for _ in range(WARM_UP_STEPS)]
    ready = time.perf_counter() - started
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        stepper()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    return {
        "case": "gpu_step",
        "device": card(on_gpu),
        "batch_size": batch,
        "seq_len": dataset.window.seq_len,
        "precision": precision,
        "mode": mode,
        "milliseconds_median": round(1e3 * median, 3),
        "milliseconds_least": round(1e3 * min(seconds), 3),
        "samples_per_second": round(batch / median, 1),
        "seconds_until_warm": round(ready, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3) if on_gpu else None,
        "first_losses": [round(loss, 5) for loss in losses],
    }


class ProductOperations(TorchDispatchMode):
    """Sums the floating-point operations of matrix products, convolutions and attention."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count ``func`` by torch's own formula, if it has one, and run it."""
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        self.total += formula(*args, **(kwargs or {}), out_val=result) if formula else 0
        return result


def ceilings(device: torch.device, size: int) -> Iterator[dict[str, Any]]:
    """Bytes a second of a large copy and operations a second of a large product, measured."""
    source = torch.randn(size * size * 4, device=device)
    target = torch.empty_like(source)
    seconds = timed(partial(target.copy_, source), device)
    yield {"case": "copy", "terabytes_per_second": round(2 * source.nbytes / seconds / 1e12, 3)}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds = timed(partial(torch.mm, left, right), device)
        yield {
            "case": "matrix_product",
            "dtype": str(dtype).removeprefix("torch."),
            "teraflops": round(2 * size**3 / seconds / 1e12, 2),
        }


def work_of_a_step(settings: Settings, dataset: MarketDataset, batch: int, top: int) -> Iterator[Any]:
    """Operations of a plain bf16 step's products, kernels it launches, and the ``top`` ones by time."""
    stepper = Stepper(settings, dataset, batch, "bf16", "plain")
    for _ in range(WARM_UP_STEPS):
        stepper()
    with ProductOperations() as counter:  # type: ignore[no-untyped-call]
        stepper()
    on_gpu = settings.training.device == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as profiled:
        stepper()
    events = [
        (event.key, event.count, event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        for event in profiled.key_averages()
        if not on_gpu or event.device_type == DeviceType.CUDA
    ]
    yield {
        "case": "work",
        "batch_size": batch,
        "gigaflops_of_products": round(counter.total / 1e9, 2),
        "kernels": sum(count for _, count, _ in events),
        "kernel_milliseconds": round(sum(spent for *_, spent in events) / 1e3, 3),
    }
    for name, count, spent in sorted(events, key=lambda event: -event[2])[:top]:
        yield {"case": "kernel", "name": name[:120], "count": count, "milliseconds": round(spent / 1e3, 3)}


def timed(function: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    """Median seconds of ``function``, the device's wait included."""
    seconds = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[3:])


def card(on_gpu: bool) -> str:
    """Name of the device."""
    return torch.cuda.get_device_name() if on_gpu else "cpu"


def main() -> None:
    """Run the cases asked for and print their lines."""
    given = _arguments()
    overrides = [*given.set, f"training.device={given.device}"]
    settings = load_settings(given.config, overrides)
    dataset = MarketDataset.open(Path(given.dataset))
    device = torch.device(given.device)
    torch.set_num_threads(given.threads) if given.threads else None
    failed = False

    def show(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    show({"case": "machine", "device": card(device.type == "cuda"), "torch": torch.__version__})
    for line in ceilings(device, given.size):
        show(line)
    for mode, precision, batch in product(given.mode, given.precision, given.batch):
        try:
            show(run_case(settings, dataset, batch, precision, mode, given.steps))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            # A table with a hole is worth more than none on a machine that is lent for minutes.
            failed = True
            named = {"batch_size": batch, "precision": precision, "mode": mode}
            show({"case": "failed", **named, "error": f"{type(error).__name__}: {error}"[:600]})
    for batch in given.profile:
        for line in work_of_a_step(settings, dataset, batch, given.top):
            show(line)
    sys.exit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training steps on a CUDA device.")
    parser.add_argument("dataset", metavar="DATASET", help="output folder of prepare_data")
    parser.add_argument("--config", default=CONFIG, help="settings file (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--mode", nargs="+", choices=MODES, default=["plain", "recorded"])
    parser.add_argument("--steps", type=int, default=20, help="timed steps (%(default)s)")
    parser.add_argument(
        "--profile", type=int, nargs="*", default=[], metavar="BATCH", help="look into a step"
    )
    parser.add_argument("--top", type=int, default=25, help="kernels listed of a profile (%(default)s)")
    parser.add_argument(
        "--size", type=int, default=8192, help="of the matrices of the ceilings (%(default)s)"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; torch's choice if left out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
