"""How long a list and a site of many runs take, as JSON: in a folder, or with ``--store`` in a local S3 server.

    python -m benchmarks.runs --runs 1000
    python -m benchmarks.runs --runs 1000 --store

Records without artifacts; those of the store name as many files as a run of one model leaves. In the store ``publish``
also counts requests: of the second run, of the last one, and of the one that folds the index.
"""

import argparse
import hashlib
import json
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from model_core.manifest import FileRecord
from model_core.publishing.index import MOST_LOOSE, Index
from model_core.publishing.publish import publish_run
from model_core.publishing.record import sealed, write_record
from model_core.results.run import RunRecord
from model_core.store.locate import open_store
from model_core.store.together import together
from pipelines.review.listing import list_runs
from pipelines.review.sources import opened
from pipelines.site.build import build_site
from pipelines.store import running_server
from tests.pipeline.synthetic_runs import synthetic_record
from tests.pipeline.synthetic_runs import write_record as write_here

_FILES = 30
"""Of a run with one model."""
_SHELF = "s3://bench/team/runs"
_WHEN = "2026-01-01T00:00:00.{:06}+00:00"


def main() -> None:
    """Seconds of the wall clock and of the processor."""
    parser = argparse.ArgumentParser(description="How long a list and a site of many runs take.")
    parser.add_argument("--runs", type=int, default=1000, help="how many; default 1000")
    parser.add_argument("--store", action="store_true", help="in a local S3 server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgat-runs-") as place:
        measured = (in_store if given.store else in_folder)(Path(place), given.runs)
    print(json.dumps({"runs": given.runs, "where": "s3" if given.store else "folder", **measured}))


def in_folder(place: Path, count: int) -> dict[str, object]:
    """Of runs in a folder."""
    runs, out = place / "runs", place / "site"
    for number in range(count):
        write_here(runs, synthetic_record(number))
    measured = {
        "list": seconds(lambda: list_runs(runs)),
        "site built": seconds(lambda: build_site(runs, out)),
    }
    write_here(runs, synthetic_record(count))
    measured["site updated"] = seconds(lambda: build_site(runs, out))
    return {"seconds": measured}


def in_store(place: Path, count: int) -> dict[str, object]:
    """Of published runs."""
    with running_server(place / "objects", "bench") as (server, _):
        os.environ.update(server.environment())
        publish_run(_SHELF, synthetic_record(0), [])
        costs = {"second run": requests(lambda: publish_run(_SHELF, synthetic_record(1), []))}
        publish_many(count - MOST_LOOSE)
        for number in range(count - MOST_LOOSE, count + 1):
            made = requests(partial(publish_run, _SHELF, synthetic_record(number), []))
            costs["run that folds the index" if number == count else "last run"] = made
        out = place / "site"
        measured = {"list": seconds(listed), "site built": seconds(lambda: site(out))}
        publish_run(_SHELF, synthetic_record(count + 1), [])
        measured["site updated"] = seconds(lambda: site(out))
        index = Index(open_store(_SHELF))
        index.fold()
        (snapshot,) = open_store(_SHELF).keys(".index/")
        size = open_store(_SHELF).size(snapshot)
    return {"seconds": measured, "requests of a publication": costs, "index bytes": size}


def publish_many(count: int) -> None:
    """Records and index as ``count`` publications leave them, without the page that each of them writes."""
    store = open_store(_SHELF)
    index = Index(store)

    def one(number: int) -> None:
        record = published(number)
        write_record(store, record)
        index.add(record)

    together(one, range(2, count))
    index.fold()


def published(number: int) -> RunRecord:
    """With as many files as a run has."""
    digests = [hashlib.sha256(f"{number} {each}".encode()).hexdigest() for each in range(_FILES)]
    files = {f"evaluation/{n:02}.parquet": FileRecord(sha256=sha, size=1000) for n, sha in enumerate(digests)}
    return sealed(synthetic_record(number, files=files, published_at=_WHEN.format(number)))


def listed() -> None:
    """``runs list``."""
    with opened(_SHELF) as runs:
        list_runs(runs.folder, runs.records())


def site(out: Path) -> None:
    """``runs site``."""
    with opened(_SHELF) as runs:
        build_site(runs.folder, out, fetch=runs.fetch, uri=runs.elsewhere, stamped=runs.stamped())


def seconds(work: Callable[[], object]) -> dict[str, float]:
    """Of the wall clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "wall": round(time.perf_counter() - wall, 3),
        "processor": round(time.process_time() - processor, 3),
    }


def requests(work: Callable[[], object]) -> dict[str, int]:
    """How many of each kind are sent."""
    with counted() as kinds:
        work()
    return dict(sorted(kinds.items()))


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Methods of the requests that are sent within."""
    kinds: Counter[str] = Counter()

    class Ear(logging.Handler):
        """The client's log has a line for each request."""

        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and len(record.args) == 8:
                kinds[str(record.args[3])] += 1

    log, ear = logging.getLogger("urllib3.connectionpool"), Ear()
    level, log.propagate = log.level, False
    log.addHandler(ear)
    log.setLevel(logging.DEBUG)
    try:
        yield kinds
    finally:
        log.removeHandler(ear)
        log.setLevel(level)
        log.propagate = True


if __name__ == "__main__":
    main()
