"""Training steps of this model and of a peer, in turn in one process: seconds of each and the ratio of their medians.

    python benchmarks/compare.py --peer benchmarks.peers.patchtst:build
    python benchmarks/compare.py --peer module:callable --batch 4 --seq-len 125 --steps 9 --device cuda

The callable gets (ModelSettings, ModelInputs) and returns a module that maps a Window to a Forecast or to [B, P, 4].
Both take the same step on the same random batch: forward, loss, backward, clipping, Adam. They take turns, so that a
machine whose speed drifts treats them alike. Prints one JSON line. A ratio above 1: ours is the faster one.
"""

import sys
from pathlib import Path

# A script's own folder is on the path, and the repository is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import components  # noqa: F401 - before torch, whose threads then wait as those of the steps do

# isort: split
import argparse
import json
import statistics

import torch

from benchmarks.train_step import (
    DEFAULT_CONFIG,
    WARM_UP_STEPS,
    builder,
    count,
    device_of,
    random_inputs,
    random_window,
    timed,
    training_step,
)
from components.entry_points import exit_on_user_error
from model_core.build import build_model
from model_core.config.data import WindowSettings
from model_core.config.load import load_settings, validated


def main(words: list[str] | None = None) -> None:
    """Time both models and print the line."""
    given = _arguments(words)
    with exit_on_user_error():
        print(json.dumps(compared(given)), flush=True)


def compared(given: argparse.Namespace) -> dict[str, object]:
    """Median seconds of a step of each, and the ratio.

    Raises:
        SettingsError: the settings, the device or the peer cannot be used.
    """
    settings = load_settings(given.config, given.set)
    window_settings = settings.data.window
    if given.seq_len is not None:
        changed = {
            **window_settings.model_dump(),
            "seq_len": given.seq_len,
            "label_len": min(window_settings.label_len, given.seq_len),
        }
        window_settings = validated(WindowSettings, changed, "data.window")
    device = device_of(given.device)
    if given.threads:
        torch.set_num_threads(given.threads)
    inputs = random_inputs(settings, window_settings)
    batch_size = given.batch or settings.training.batch_size
    window = random_window(batch_size, window_settings).to(device)
    steps, parameters = {}, {}
    for name, build in {"ours": build_model, "peer": builder(given.peer, "--peer")}.items():
        torch.manual_seed(settings.training.seed)
        model = build(settings.model, inputs).to(device).train()
        parameters[name] = sum(p.numel() for p in model.parameters())
        steps[name] = training_step(model, window, settings, given.precision)
        for _ in range(WARM_UP_STEPS):
            steps[name]()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(given.steps):
        for name, step in steps.items():
            seconds[name].append(timed(step, device))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "case": "compare",
        "peer": given.peer,
        "config": given.config,
        "batch_size": batch_size,
        "seq_len": window_settings.seq_len,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": given.precision,
        "parameters": parameters,
        "seconds_per_step_median": {name: round(value, 4) for name, value in medians.items()},
        "peer_over_ours": round(medians["peer"] / medians["ours"], 3),
    }


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training steps of this model and of a peer, in turn.")
    parser.add_argument(
        "--peer", required=True, metavar="MODULE:CALLABLE", help="what builds the other model"
    )
    parser.add_argument("--config", default=DEFAULT_CONFIG, help="settings file (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting")
    parser.add_argument("--batch", type=count, help="windows in a batch; the settings' own if left out")
    parser.add_argument("--seq-len", type=count, help="days in a window; the settings' own if left out")
    parser.add_argument("--steps", type=count, default=9, help="timed steps of each (%(default)s)")
    parser.add_argument("--threads", type=count, help="CPU threads; torch's choice if left out")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 … (%(default)s)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
