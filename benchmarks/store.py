"""An object store's part of a run: a file up and down, many small objects, a list. One JSON line a case.

    python -m benchmarks.store [--mb 64] [--objects 500]

Through the local store that `make store` starts (SeaweedFS on loopback, every port but S3 closed), with the code that
the steps use. ``start`` is until its first answer, with every other door tried as a stranger.
"""

import argparse
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from model_core.store.base import Store
from model_core.store.locate import open_store
from pipelines.store import running_server


def main() -> None:
    """Start a store of its own, measure, end it."""
    parser = argparse.ArgumentParser(description="An object store's part of a run.")
    parser.add_argument("--mb", type=int, default=64, help="size of the file (%(default)s)")
    parser.add_argument("--objects", type=int, default=500, help="small objects (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgat-bench-") as folder:
        begun = time.perf_counter()
        with running_server(Path(folder) / "store", "bench") as (server, _):
            show("start", time.perf_counter() - begun)
            os.environ.update(server.environment())
            store, file = open_store("s3://bench/speed"), Path(folder) / "file"
            file.write_bytes(secrets.token_bytes(given.mb * 10**6))
            for case, act in {
                "upload": lambda: store.upload("file", file),
                "download": lambda: store.download("file", Path(folder) / "copy"),
            }.items():
                seconds = measured(act)
                show(case, seconds, megabytes_per_second=round(given.mb / seconds, 1))
            names = [f"small/{number:05}" for number in range(given.objects)]
            seconds = measured(lambda: write_all(store, names))
            show("write_small", seconds, objects_per_second=round(given.objects / seconds))
            seconds = measured(lambda: [store.read(name) for name in names])
            show("read_small", seconds, objects_per_second=round(given.objects / seconds))
            seconds = measured(lambda: list(store.keys("small")))
            show("list", seconds, objects_per_second=round(given.objects / seconds))


def write_all(store: Store, names: list[str]) -> None:
    """An object of two bytes under each name."""
    for name in names:
        store.write(name, b"{}")


def measured(act: Callable[[], object]) -> float:
    """Seconds that ``act`` takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def show(case: str, seconds: float, **more: float) -> None:
    """One line."""
    print(json.dumps({"benchmark": "store", "case": case, "seconds": round(seconds, 3), **more}), flush=True)


if __name__ == "__main__":
    main()
