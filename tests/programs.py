"""A server of a test that is another program: started on the loopback interface, ended with all that it started."""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from time import monotonic, sleep

_SECONDS = 180
"""To start: on a busy machine MLflow takes half a minute."""


@contextmanager
def program_serving(
    command: Callable[[int], Sequence[str]], folder: Path, health: str, environment: Mapping[str, str]
) -> Iterator[int]:
    """The port of the server that ``command`` starts for it.

    Args:
        folder: where it runs and leaves its log.
        health: path that it answers once it is ready.
        environment: all of its variables.
    """
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command(port), stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}{health}", process, folder / "server.log")
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + _SECONDS
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            assert monotonic() < deadline, log.read_text(encoding="utf-8")
        sleep(0.2)
