"""Time and memory of whole training steps: forward, loss, backward, clipping, Adam.

    OMP_NUM_THREADS=2 python benchmarks/train_step.py
    python benchmarks/train_step.py --seq-len 125 250 500 1000      the growth with the window
    python benchmarks/train_step.py --parts                         forward seconds of every part
    python benchmarks/train_step.py --model peer:build              any other model on the same inputs
    python benchmarks/train_step.py --set training.compile=default  with torch.compile

Prints one JSON line per case. Each case runs in a fresh process, so that peaks do not mix; ``peak_mb`` is what the
process needed beyond its imports, or the peak of the CUDA allocator. Inputs are random numbers of the right shape and
unit: time depends on neither. ``module:callable`` is called with (ModelSettings, ModelInputs) and returns a module that
maps a Window to a Forecast or to [B, P, 4]; its module is looked for on PYTHONPATH. Wrong input exits with code 2.
"""

import components  # noqa: F401 - before torch, whose threads then wait as those of the steps do

# isort: split
import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from components.entry_points import exit_on_user_error
from model_core.build import build_model
from model_core.config.data import WindowSettings
from model_core.config.load import load_settings, validated
from model_core.config.model import ModelSettings
from model_core.config.run import Settings
from model_core.data.calendar import CALENDAR_FEATURES
from model_core.data.har import har_days
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window
from model_core.errors import SettingsError
from model_core.losses import forecast_loss
from model_core.nn.bundles import Forecast
from model_core.sky.waves import waves_of

DEFAULT_CONFIG = "configs/celestial_enhanced_pgat_production.yaml"
WARM_UP_STEPS = 2
"""Also what it takes until every parameter has a gradient: a zero-initialized head passes none back."""


def main(words: list[str] | None = None) -> None:
    """Run the cases that ``words`` (of the process, if None) ask for and print their lines."""
    words = sys.argv[1:] if words is None else words
    arguments = _arguments(words)
    lengths = arguments.seq_len or [None]
    if len(lengths) == 1:
        with exit_on_user_error():
            for line in run_case(arguments, lengths[0]):
                print(json.dumps(line), flush=True)
        return
    others = _without_seq_len(words)
    for length in lengths:
        case = subprocess.run([sys.executable, __file__, *others, "--seq-len", str(length)], check=False)
        if case.returncode:
            sys.exit(case.returncode)


def run_case(arguments: argparse.Namespace, seq_len: int | None) -> Iterator[dict[str, Any]]:
    """Time ``arguments.steps`` training steps and yield the case's line, then a line per part.

    Raises:
        SettingsError: the settings, the device or the model named cannot be used.
    """
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = load_settings(arguments.config, arguments.set)
    window_settings = settings.data.window
    if seq_len is not None:
        label_len = min(window_settings.label_len, seq_len)
        changed = {**window_settings.model_dump(), "seq_len": seq_len, "label_len": label_len}
        window_settings = validated(WindowSettings, changed, "data.window")
    device = device_of(arguments.device)
    before_mb = _resident_peak_mb()

    torch.manual_seed(settings.training.seed)
    inputs = random_inputs(settings, window_settings)
    model = builder(arguments.model)(settings.model, inputs).to(device).train()
    batch_size = arguments.batch or settings.training.batch_size
    window = random_window(batch_size, window_settings).to(device)
    if settings.training.compile != "off":
        model.compile(mode=settings.training.compile)
    step = training_step(model, window, settings, arguments.precision)
    first_seconds = timed(step, device)
    for _ in range(WARM_UP_STEPS - 1):
        step()
    seconds = [timed(step, device) for _ in range(arguments.steps)]
    case = {
        "case": "train_step",
        "model": arguments.model or settings.model.kind,
        "config": arguments.config,
        "batch_size": batch_size,
        "seq_len": window_settings.seq_len,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": arguments.precision,
        "compiled": settings.training.compile,
        "seconds_first_step": round(first_seconds, 4),
        "seconds_per_step": round(min(seconds), 4),
        "seconds_per_step_median": round(sorted(seconds)[len(seconds) // 2], 4),
        "samples_per_second": round(batch_size / min(seconds), 2),
        "peak_mb": round(_peak_mb(device, before_mb), 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_without_gradient": sum(
            p.numel() for p in model.parameters() if p.grad is None or not p.grad.any()
        ),
    }
    yield case
    if arguments.parts:
        yield from _parts(model, window, device, arguments.steps)


def random_inputs(settings: Settings, window: WindowSettings) -> ModelInputs:
    """A dataset's description without a dataset: unit scaling and a walk of plausible size."""
    waves, steps = len(waves_of(settings.data.layout)), window.pred_len
    tables = {"walk_c": (((0.0,) * 4,) * steps,) * 3, "scale_c": (((0.01,) * 4,) * steps,) * 4}
    return ModelInputs(
        layout=settings.data.layout,
        window=window,
        wave_mean=(0.0,) * waves,
        wave_std=(1.0,) * waves,
        walk_a=((0.0,) * 4,) * steps,
        walk_b=((0.0, 0.5, -0.5, 0.0),) * steps,
        **tables,
        range_days=har_days(window.seq_len),
    )


def random_window(batch: int, window: WindowSettings) -> Window:
    """A batch with random prices, calendar and sky."""
    steps = window.seq_len + window.pred_len
    close = torch.randn(batch, steps, 1).cumsum(1)
    prices = close + torch.tensor([0.1, 0.5, -0.5, 0.0])
    sky = torch.rand(batch, steps, len(waves_of("ephemeris")) - 5) * 2 - 1
    past = torch.cat([prices, torch.zeros(batch, steps, 1), sky], dim=-1)[:, : window.seq_len]
    calendar = torch.stack([torch.randint(0, size, (batch, steps)) for _, size in CALENDAR_FEATURES], dim=-1)
    return Window(
        past_waves=past,
        past_calendar=calendar[:, : window.seq_len],
        future_sky=sky[:, window.seq_len :],
        future_calendar=calendar[:, window.seq_len :],
        target=prices[:, window.seq_len :],
        anchor=torch.zeros(batch, dtype=torch.float64),
        scale=torch.full((batch,), 0.02),
        dates=torch.zeros(batch, 1 + window.pred_len, dtype=torch.int64),
    )


def training_step(model: nn.Module, window: Window, settings: Settings, precision: str) -> Callable[[], None]:
    """One optimizer step on ``window``, again and again."""
    training = settings.training
    optimizer = torch.optim.Adam(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(window.past_waves.device.type, torch.bfloat16, enabled=precision == "bf16"):
            output: Forecast | Tensor = model(window)
        forecast = output if isinstance(output, Forecast) else Forecast(point=output)
        forecast_loss(forecast, window.target, settings.model.mixture).total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), training.clip_grad_norm or float("inf"))
        optimizer.step()

    return step


def _parts(model: nn.Module, window: Window, device: torch.device, steps: int) -> Iterator[dict[str, Any]]:
    """Least forward seconds of every direct part and of every layer in one, by hooks."""
    named = {name: part for name, part in model.named_modules() if name and name.count(".") <= 2}
    best: dict[str, float] = {}
    with _forward_hooks(named, best, device):
        for _ in range(steps):
            model(window)
    for name, seconds in sorted(best.items(), key=lambda item: -item[1]):
        yield {
            "case": "part_forward",
            "part": name,
            "class": type(named[name]).__name__,
            "seconds": round(seconds, 5),
            "parameters": sum(p.numel() for p in named[name].parameters()),
        }


@contextmanager
def _forward_hooks(
    named: dict[str, nn.Module], best: dict[str, float], device: torch.device
) -> Iterator[None]:
    started: dict[str, float] = {}

    def start(name: str) -> None:
        _synchronize(device)
        started[name] = time.perf_counter()

    def stop(name: str) -> None:
        _synchronize(device)
        best[name] = min(best.get(name, float("inf")), time.perf_counter() - started[name])

    handles = []
    for name, part in named.items():
        handles.append(part.register_forward_pre_hook(lambda *_, name=name: start(name)))
        handles.append(part.register_forward_hook(lambda *_, name=name: stop(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of one step, the device's wait included."""
    _synchronize(device)
    start = time.perf_counter()
    step()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _resident_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peak_mb(device: torch.device, before_mb: float) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _resident_peak_mb() - before_mb


def device_of(name: str) -> torch.device:
    """The device that ``--device`` names, if it is there."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"--device {name} is not a device; give cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"--device {name} is asked for, but no GPU is visible; leave it out for the CPU")
    return device


def builder(name: str | None, flag: str = "--model") -> Callable[[ModelSettings, ModelInputs], nn.Module]:
    """What builds the model that ``flag`` names; ours without a name."""
    if name is None:
        return build_model
    module, _, attribute = name.partition(":")
    try:
        build = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"{flag} {name} cannot be loaded ({error}); give module:callable with the module on PYTHONPATH"
        ) from error
    if not callable(build):
        raise SettingsError(f"{flag} {name} is not callable; name a function that returns the model")
    return build


def _without_seq_len(words: list[str]) -> list[str]:
    start = words.index("--seq-len")
    flags = (place for place, word in enumerate(words) if place > start and word.startswith("-"))
    return words[:start] + words[next(flags, len(words)) :]


def count(text: str) -> int:
    """A whole number of at least 1, from a command line."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default=DEFAULT_CONFIG, help="settings file (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting")
    parser.add_argument("--batch", type=count, help="windows in a batch; the settings' own if left out")
    parser.add_argument("--seq-len", type=count, nargs="+", help="days in a window; several: several cases")
    parser.add_argument("--steps", type=count, default=5, help="timed steps, fastest counts (%(default)s)")
    parser.add_argument("--threads", type=count, help="CPU threads; torch's choice if left out")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 … (%(default)s)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--parts", action="store_true", help="also the forward seconds of every part")
    parser.add_argument("--model", metavar="MODULE:CALLABLE", help="another model on the same inputs")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
