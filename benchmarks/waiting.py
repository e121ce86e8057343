"""What OpenMP's waiting costs: the same training steps with each setting, on an idle and on a busy machine.

    python benchmarks/waiting.py                                        the quickstart's step and production's
    python benchmarks/waiting.py --dataset IN --model IN                also the whole step evaluate
    python benchmarks/waiting.py --setting GOMP_SPINCOUNT=1000 --busy 0 4

Between two parallel regions a thread spins for a while before it sleeps. On an idle machine that saves the time of
waking it; where other processes want the same cores, every thread that spins keeps the one it waits for from running.
One JSON line for each case, setting and number of busy processes. The settings take turns within a round, so that a
machine whose speed drifts treats them alike; a case that takes longer than --limit counts as the limit.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
SETTINGS = (
    # What libgomp does if nothing is set.
    "GOMP_SPINCOUNT=300000",
    *(f"GOMP_SPINCOUNT={count}" for count in (30_000, 10_000, 3000, 1000, 100)),
    "OMP_WAIT_POLICY=PASSIVE",
    "OMP_NUM_THREADS=1",
)


def main() -> None:
    """Measure every combination that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--setting", action="append", metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument(
        "--busy", type=int, nargs="+", default=[0, os.cpu_count() or 1], help="busy processes"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="training steps of one measurement")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of one measurement")
    parser.add_argument("--case", action="append", choices=["quickstart", "production", "evaluate"])
    parser.add_argument("--dataset", help="of a finished run, for the case evaluate")
    parser.add_argument("--model", help="of a finished run, for the case evaluate")
    given = parser.parse_args()
    cases = given.case or ["quickstart", "production", *(["evaluate"] if given.model else [])]
    settings = SETTINGS if given.setting is None else given.setting
    for busy in given.busy:
        for case in cases:
            for line in compared(case, settings, busy, given):
                print(json.dumps(line), flush=True)


def compared(
    case: str, settings: Sequence[str], busy: int, given: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """A line per setting, from ``given.rounds`` rounds in which the settings take turns."""
    seconds: dict[str, list[float]] = {setting: [] for setting in settings}
    with busy_processes(busy):
        for _ in range(given.rounds):
            for setting in settings:
                # What takes the limit once is not asked again.
                if given.limit not in seconds[setting]:
                    seconds[setting].append(measured(case, setting, given))
    for setting, found in seconds.items():
        yield {
            "benchmark": "waiting",
            "case": case,
            "unit": "s a run" if case == "evaluate" else "s a step",
            "busy_processes": busy,
            "cores": os.cpu_count(),
            "setting": setting,
            "seconds_median": round(statistics.median(found), 3),
            "seconds_all": [round(each, 3) for each in found],
        }


def measured(case: str, setting: str, given: argparse.Namespace) -> float:
    """Seconds of a training step (the median of several), or of the whole step ``evaluate``."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    name, _, value = setting.partition("=")
    environment[name] = value
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        try:
            found = subprocess.run(
                command_of(case, given, folder),
                cwd=ROOT,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=given.limit,
            )
        except subprocess.TimeoutExpired:
            return given.limit
        if case == "evaluate":
            return time.monotonic() - begun
    return float(json.loads(found.stdout)["seconds_per_step_median"])


def command_of(case: str, given: argparse.Namespace, folder: str) -> list[str]:
    """What runs in a case."""
    if case == "evaluate":
        words = ["-m", "components.evaluate", "--config", "configs/quickstart.yaml"]
        words += ["--dataset", given.dataset, "--model", given.model, "--evaluation", f"{folder}/evaluation"]
    else:
        config = "quickstart" if case == "quickstart" else "celestial_enhanced_pgat_production"
        words = [
            "benchmarks/train_step.py",
            "--config",
            f"configs/{config}.yaml",
            "--steps",
            str(given.steps),
        ]
    return [sys.executable, *words]


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but want a core."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
