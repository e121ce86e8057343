"""How long a list and a site of many runs take, as JSON: ``python -m benchmarks.runs --runs 1000``."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.review.listing import list_runs
from pipelines.site.build import build_site
from tests.pipeline.synthetic_runs import synthetic_record, write_record


def main() -> None:
    """Seconds of the wall clock and of the processor, for records without artifacts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="how many; default 1000")
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="pgat-runs-") as place:
        runs, out = Path(place, "runs"), Path(place, "site")
        for number in range(count):
            write_record(runs, synthetic_record(number))
        measured = {
            "list": _seconds(lambda: list_runs(runs)),
            "site built": _seconds(lambda: build_site(runs, out)),
        }
        write_record(runs, synthetic_record(count))
        measured["site updated"] = _seconds(lambda: build_site(runs, out))
    print(json.dumps({"runs": count, "seconds": measured}))


def _seconds(work: Callable[[], object]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "wall": round(time.perf_counter() - wall, 3),
        "processor": round(time.process_time() - processor, 3),
    }


if __name__ == "__main__":
    main()
