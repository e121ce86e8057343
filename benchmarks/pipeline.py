"""Seconds of the whole pipeline and of each step, run as ``make run`` does; one JSON line a case.

    python benchmarks/pipeline.py                             # the quickstart on NASDAQ: fresh, then cached
    python benchmarks/pipeline.py --config FILE --source URI

The first case runs every step, the second finds all of them in the cache; both in one call.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run twice in a folder of its own and print what each run's record says."""
    parser = argparse.ArgumentParser(description="Seconds of the whole pipeline, fresh and cached.")
    parser.add_argument("--config", default=str(ROOT / "configs" / "quickstart.yaml"), help="settings file")
    parser.add_argument("--source", default="sample://nasdaq", help="table to learn from")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgat-bench-") as runs:
        for case in ("fresh", "cached"):
            begun = time.monotonic()
            command = [sys.executable, "-m", "pipelines", "run", "--name", "bench", "--runs", runs]
            command += ["--config", given.config, "--source", given.source]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - begun
            record = json.loads((Path(runs) / "bench" / "run.json").read_text(encoding="utf-8"))
            line = {
                "benchmark": "pipeline",
                "case": case,
                "config": Path(given.config).name,
                "source": given.source,
                "seconds": round(seconds, 1),
                "step_seconds": {name: round(value, 1) for name, value in record["step_seconds"].items()},
                "reused": len(record["reused"]),
                "cores": os.cpu_count(),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
