"""A real MLflow server on the loopback interface, with SQLite, as its users start it."""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from time import monotonic, sleep

from tests.conftest import MLFLOW

_SECONDS = 180
"""To start: on a busy machine it takes half a minute."""


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port of a server that keeps everything in ``folder``."""
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/runs.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))
    }
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
        )
        try:
            _wait_for(port, process, folder / "server.log")
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + _SECONDS
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            assert monotonic() < deadline, log.read_text(encoding="utf-8")
        sleep(0.2)
