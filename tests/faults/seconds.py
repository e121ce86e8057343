"""How long the commands wait for a store that hangs or crawls, with the settings as they are: one JSON line a case.

    python -m tests.faults.seconds [CASE…]

Each case is a real process before a proxy (``tests.faults.proxy``); all of them take about seven minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model_core.checkpoints.records import RECORDS
from tests.data.market import saved, table
from tests.faults.proxy import Hang, Proxy, Slow
from tests.security.hostile_s3 import HostileS3
from tests.training.prepared import write_tiny_dataset

TINY = str(Path(__file__).parents[1] / "pipeline" / "tiny.yaml")
URI = "s3://bucket/run"


@contextmanager
def store_behind_a_proxy() -> Iterator[tuple[HostileS3, Proxy]]:
    """Both run, and the environment names the proxy as the store."""
    server = HostileS3()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Proxy("127.0.0.1", server.server_port) as proxy:
        keys = {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret-of-the-store"}
        os.environ |= keys | {"AWS_ENDPOINT_URL": proxy.url}
        yield server, proxy
    server.shutdown()


def training(folder: Path, *settings: str) -> "subprocess.Popen[str]":
    """The command that trains, with a checkpoint in the store after each epoch."""
    dataset = write_tiny_dataset(folder / "dataset")
    flags = [word for setting in ("training.checkpoint_interval=1", *settings) for word in ("--set", setting)]
    words = ["--config", TINY, "--dataset", str(dataset), "--model", str(folder / "model"), *flags]
    return step("train", *words, "--checkpoint-uri", URI)


def step(name: str, *words: str) -> "subprocess.Popen[str]":
    """A step as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", f"components.{name}", *words],
        stdout=sys.stderr,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sigterm(folder: Path) -> float:
    """From SIGTERM to the end, the store hanging since the first checkpoint (termination_grace_seconds: 20)."""
    return _hanging_from_the_first_record(folder, stop=True)


def normal_end(folder: Path) -> float:
    """From the last record to the end, the store hanging since then (mirror_patience_seconds: 60)."""
    return _hanging_from_the_first_record(folder, stop=False)


def _hanging_from_the_first_record(folder: Path, stop: bool) -> float:
    begun: list[float] = []
    with store_behind_a_proxy() as (server, proxy):
        process = training(folder, f"training.train_epochs={100_000 if stop else 1}")

        def hang(key: str) -> None:
            if RECORDS in key and not begun:
                begun.append(time.monotonic())
                proxy.fault = Hang()
                if stop:
                    process.terminate()

        server.on_put = hang
        process.wait()
        return time.monotonic() - begun[0]


def start(folder: Path) -> float:
    """From the start to the refusal, the store hanging from the start (store.total_seconds: 120)."""
    with store_behind_a_proxy() as (_, proxy):
        proxy.fault = Hang()
        begun = time.monotonic()
        training(folder).wait()
        return time.monotonic() - begun


def crawling_table(folder: Path) -> float:
    """From the start to the refusal of a table that comes at 1 kB/s (store.rate_window_seconds: 30)."""
    with store_behind_a_proxy() as (server, proxy):
        server.objects["m/table.csv"] = Path(saved(table(3000), folder)).read_bytes()
        proxy.fault = Slow(bytes_per_tick=100, tick_seconds=0.1)
        begun = time.monotonic()
        words = (
            "--config",
            TINY,
            "--source",
            "s3://bucket/m/table.csv",
            "--dataset",
            str(folder / "dataset"),
        )
        step("prepare_data", *words).wait()
        return time.monotonic() - begun


CASES: dict[str, Callable[[Path], float]] = {
    "sigterm": sigterm,
    "normal_end": normal_end,
    "start": start,
    "crawling_table": crawling_table,
}


def main(names: list[str]) -> None:
    """Measure the cases of these names, or all."""
    for name in names or CASES:
        with tempfile.TemporaryDirectory() as folder:
            seconds = CASES[name](Path(folder))
        sys.stdout.write(json.dumps({"case": name, "seconds": round(seconds, 1)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
