"""Training steps by number of processes of one machine, each with its share of the cores; a JSON line a number.

    python benchmarks/processes.py                                   1 process and 2, the production settings
    python benchmarks/processes.py --processes 1 4 --rounds 5 --set model.d_model=26

Runs the step ``train`` itself: one process as ``--launcher inline``, several as ``--launcher torchrun``, on the same
batches of NASDAQ. The numbers take turns within a round, so that a machine whose speed drifts treats them alike.
``seconds_per_batch`` is the median over all optimizer steps, for ``batch_size`` windows: gathering, forward, backward,
the exchange of gradients, and each step's share of the update. The first step of a run does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from model_core.config.load import load_settings

ROOT = Path(__file__).parent.parent
STEPS = 5
"""Of a run, about: the stride leaves so many batches."""
TRAIN_WINDOWS = 3234
"""Of the sample NASDAQ in windows of 250 days."""


def main() -> None:
    """Prepare the dataset once, then train a few steps again and again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(";")[0])
    parser.add_argument("--config", default="configs/celestial_enhanced_pgat_production.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    training = load_settings(given.config, given.set).training
    windows = training.batch_size * training.gradient_accumulation_steps
    short = {
        "training.train_window_stride": max(1, TRAIN_WINDOWS // (windows * STEPS)),
        "training.train_epochs": 1,
        "training.step_log_interval": 1,
    }
    changes = [*given.set, *(f"{name}={value}" for name, value in short.items())]
    options = ["--config", given.config, *(word for change in changes for word in ("--set", change))]
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        step("prepare_data", *options, "--source", "sample://nasdaq", "--dataset", str(dataset))
        speeds: dict[int, list[float]] = {count: [] for count in given.processes}
        for turn in range(given.rounds):
            for count, found in speeds.items():
                model = Path(folder) / f"model-{turn}-{count}"
                found += trained(model, dataset, count, options)
    for count, found in speeds.items():
        line = {
            "benchmark": "processes",
            "config": given.config,
            "batch_size": training.batch_size,
            "cores": os.cpu_count(),
            "processes": count,
            "steps": len(found),
            "seconds_per_batch": round(training.batch_size / statistics.median(found), 3),
            "seconds_per_batch_least": round(training.batch_size / max(found), 3),
        }
        print(json.dumps(line), flush=True)


def trained(model: Path, dataset: Path, processes: int, options: list[str]) -> list[float]:
    """Windows a second of each optimizer step of a run but the first."""
    launcher = ["--launcher", "torchrun", "--set", f"training.launcher.processes={processes}"]
    step(
        "train",
        *options,
        "--dataset",
        str(dataset),
        "--model",
        str(model),
        *launcher[: None if processes > 1 else 0],
    )
    lines = (model / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["samples_per_second"] for line in lines][1:]


def step(name: str, *words: str) -> None:
    """Run a step's command; its log is shown only if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"components.{name}", *words],
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stdout)


if __name__ == "__main__":
    main()
