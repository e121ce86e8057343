"""An object store's part of a run: a file up and down, many small objects, a list. One JSON line a case.

    python -m benchmarks.store [--mb 64] [--objects 500]

Through the local store that `make store` starts (SeaweedFS on loopback, every port but S3 closed), with the code that
the steps use. ``start`` is until its first answer, with every other door tried as a stranger. ``share_of_sdk`` is the
speed beside that of the bare SDK (``fput_object``, ``fget_object``) on the same server, the median of pairs in turn.
"""

import argparse
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from minio import Minio

from model_core.store.base import Store
from model_core.store.locate import open_store
from pipelines.store import running_server

Act = Callable[[], object]
PAIRS = 5


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
            bare, copy = bare_client(), Path(folder) / "copy"
            pairs: dict[str, tuple[Act, Act]] = {
                "upload": (
                    lambda: store.upload("file", file),
                    lambda: bare.fput_object("bench", "bare", str(file)),
                ),
                "download": (
                    lambda: store.download("file", copy),
                    lambda: bare.fget_object("bench", "bare", str(copy)),
                ),
            }
            for case, (ours, theirs) in pairs.items():
                taken = [(measured(ours), measured(theirs)) for _ in range(PAIRS)]
                seconds = median(own for own, _ in taken)
                share = median(other / own for own, other in taken)
                show(
                    case,
                    seconds,
                    megabytes_per_second=round(given.mb / seconds, 1),
                    share_of_sdk=round(share, 2),
                )
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


def bare_client() -> Minio:
    """The SDK's own client of the server that the environment names."""
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    keys = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    return Minio(url.netloc, *keys, secure=url.scheme == "https", region="us-east-1")


def measured(act: Act) -> float:
    """Seconds that ``act`` takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def show(case: str, seconds: float, **more: float) -> None:
    """One line."""
    print(json.dumps({"benchmark": "store", "case": case, "seconds": round(seconds, 3), **more}), flush=True)


if __name__ == "__main__":
    main()
