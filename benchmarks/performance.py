"""Every figure of docs/performance.md that a processor can give, in one file: what ``make bench`` runs.

    python -m benchmarks.performance                       all parts, about 12 minutes on two idle cores
    python -m benchmarks.performance --part step loader    these anew; the others stay as they are

Each part is a command that prints JSON lines; they go to ``benchmarks/results/cpu.json`` with the machine and the
versions, and ``make docs`` makes the page from it. A part that fails ends the command; what was measured before it is
kept.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "cpu.json"
STEPS = ("prepare_data", "train", "evaluate", "diagnose", "report")
PACKAGES = ("torch", "numpy", "pandas", "pyarrow")
MEMORY_OPTIMIZED = "configs/celestial_enhanced_pgat_memory_optimized.yaml"


def command(*words: str) -> Callable[[], list[dict[str, Any]]]:
    """A part that is a Python command of this repository."""

    def lines() -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return lines


def set_up() -> list[dict[str, Any]]:
    """``make setup`` into an environment of its own, in a clone of the last commit."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pgat-bench-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        started = time.perf_counter()
        subprocess.run(["make", "setup"], cwd=clone, stdout=subprocess.DEVNULL, check=True)
        return [{"case": "setup", "seconds": round(time.perf_counter() - started, 1)}]


def starts() -> list[dict[str, Any]]:
    """Seconds until each step has imported what it needs; the least of three."""
    lines = []
    for step in STEPS:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import components.{step}.step"], cwd=ROOT, check=True)
            seconds.append(time.perf_counter() - started)
        lines.append({"case": "start", "step": step, "seconds": round(min(seconds), 2)})
    return lines


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "setup": set_up,
    "run": command("benchmarks/pipeline.py"),
    "start": starts,
    "step": command("benchmarks/train_step.py", "--steps", "7"),
    "processes": command("benchmarks/processes.py", "--rounds", "2"),
    "growth": command("benchmarks/train_step.py", "--seq-len", "250", "1000", "--steps", "3"),
    "memory": command("benchmarks/train_step.py", "--config", MEMORY_OPTIMIZED, "--steps", "3"),
    "loader": command("-m", "benchmarks.data_prep"),
    "store": command("-m", "benchmarks.store"),
}


def main() -> None:
    """Measure the parts asked for and write them."""
    parser = argparse.ArgumentParser(
        description="Every figure of docs/performance.md that a processor can give."
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="only these")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write (%(default)s)")
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    machine = this_machine()
    if found.get("machine") not in (None, machine) and set(given.part) != set(PARTS):
        sys.exit(
            f"error: {given.out} was measured elsewhere or with other versions ({found['machine']}), and figures "
            "of two machines do not belong in one table; leave --part out to measure all of them here"
        )
    parts = found.get("parts", {}) if found.get("machine") == machine else {}
    for name in given.part:
        print(f"{name} …", file=sys.stderr, flush=True)
        parts[name] = PARTS[name]()
        for line in parts[name]:
            print(json.dumps(line), flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"machine": machine, "parts": parts}, indent=1, ensure_ascii=False)
        given.out.write_text(content + "\n", encoding="utf-8")


def this_machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    names = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in names if line.startswith("model name")), platform.machine()
    )


if __name__ == "__main__":
    main()
