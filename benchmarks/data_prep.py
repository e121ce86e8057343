"""How long data preparation takes and how fast windows come: one JSON line a case.

    python -m benchmarks.data_prep [--repeats 3] [--case NAME …]

Every preparation runs in a process of its own with an empty or a filled sky cache. Seconds count from
after the imports to the dataset on disk, ``peak_mb`` is the process's largest resident memory. The
loader gathers batches of 16 windows of 250 rows on one thread. Of several repeats the least counts:
other work on the machine only ever adds. Budgets come from docs/data.md; ``within_budget`` says whether
they were kept.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROWS_20_YEARS, ROWS_100_YEARS = 5031, 36_500
FIRST_DAY_OF_100_YEARS = "1950-01-01"
BATCH, SEQ_LEN = 16, 250
CASES: dict[str, dict[str, float]] = {
    "nasdaq_cold": {"seconds": 5.0},
    "nasdaq_warm": {"seconds": 1.0},
    "century_cold": {"seconds": 40.0, "peak_mb": 1024.0},
    "century_warm": {},
    "loader": {"windows_per_second": 20_000.0},
}
"""Case → budget: at most this many seconds and MB, at least this many windows a second."""


def main() -> None:
    """Run the cases and print their lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case; the best counts")
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES), help="only these")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_one(given.one, given.folder)))
        return
    for case in given.case:
        print(json.dumps(_best(case, given.repeats)), flush=True)


def _best(case: str, repeats: int) -> dict[str, object]:
    """The best of several runs, each in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="pgat-bench-") as folder:
        table = _century(Path(folder)) if case.startswith("century") else None
        runs = [_run(case, Path(folder), table is not None) for _ in range(repeats + case.endswith("warm"))]
    if case.endswith("warm"):
        runs = runs[1:]  # the first one filled the cache
    best = (
        max(runs, key=lambda run: run["windows_per_second"])
        if case == "loader"
        else min(runs, key=lambda run: run["seconds"])
    )
    return {
        "benchmark": "data_prep",
        "case": case,
        **best,
        "budget": CASES[case],
        "within_budget": all(_kept(name, best[name], limit) for name, limit in CASES[case].items()),
        "repeats": repeats,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }


def _kept(name: str, value: float, limit: float) -> bool:
    return value >= limit if name == "windows_per_second" else value <= limit


def _run(case: str, folder: Path, has_table: bool) -> dict[str, float]:
    cache = folder / "cache"
    if not case.endswith("warm"):
        cache = Path(tempfile.mkdtemp(dir=folder))
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.data_prep", "--one", case, "--folder", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _one(case: str, folder: Path) -> Mapping[str, float]:
    """One measurement in this process."""
    if case == "loader":
        return _loader()
    return _preparation(
        str(folder / "century.csv") if case.startswith("century") else "sample://nasdaq", folder
    )


def _preparation(source: str, folder: Path) -> dict[str, float]:
    from components.prepare_data.step import run
    from model_core.config.data import DataSettings

    # The sample is imported where it is read; that is import time, not preparation.
    importlib.import_module("arch.data.nasdaq")
    settings = DataSettings()
    begin = time.perf_counter()
    headline = run(source=source, dataset=Path(tempfile.mkdtemp(dir=folder)) / "dataset", settings=settings)
    seconds = time.perf_counter() - begin
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": headline["rows"],
        "seconds": round(seconds, 3),
        "peak_mb": round(peak_kb / 1024, 1),
    }


def _loader() -> dict[str, float]:
    import torch

    from model_core.config.data import DataSettings
    from model_core.data.prepare import prepare
    from model_core.data.windows import WindowSet

    torch.set_num_threads(1)
    windows = WindowSet(prepare("sample://nasdaq", DataSettings()), "train")
    count = sum(len(batch) for batch in windows.batches(BATCH))  # warm up
    seconds = min(_timed(lambda: [len(batch) for batch in windows.batches(BATCH)]) for _ in range(5))
    views = windows._past_waves
    shared = views[0].untyped_storage().data_ptr() == views[-1].untyped_storage().data_ptr()
    return {
        "windows": count,
        "batch_size": BATCH,
        "seq_len": windows.window.seq_len,
        "windows_per_second": round(count / seconds),
        "megabytes_per_second": round(count * windows.window.seq_len * 118 * 4 / 1e6 / seconds),
        "zero_copy_views": shared,
    }


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _century(folder: Path) -> Path:
    """A CSV of 36,500 days, weekends and all, from 1950: a random walk with valid candles."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(2024)
    dates = np.datetime64(FIRST_DAY_OF_100_YEARS) + np.arange(ROWS_100_YEARS)
    close = np.exp(np.log(100) + np.cumsum(0.01 * random.standard_normal(ROWS_100_YEARS)))
    opened = close * np.exp(0.003 * random.standard_normal(ROWS_100_YEARS))
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    path = folder / "century.csv"
    pd.DataFrame({"Date": dates, "Open": opened, "High": high, "Low": low, "Close": close}).to_csv(
        path, index=False
    )
    return path


if __name__ == "__main__":
    main()
