"""The local S3 server for a test, and in its environment."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from pipelines.store import Server, running_server

Running = tuple[Server, "subprocess.Popen[bytes]"]


@contextmanager
def passing_server(folder: Path, bucket: str) -> Iterator[Running]:
    """A server on ``folder``, which goes with the test: nobody waits the 20 s that it may take to end in order."""
    with (
        patch("pipelines.store_process._STOP_SECONDS", 0.5),
        running_server(folder, bucket) as (server, process),
    ):
        yield server, process


@contextmanager
def real_store(
    folder: Path, bucket: str, environment: pytest.MonkeyPatch
) -> "Iterator[subprocess.Popen[bytes]]":
    """The process of such a server; ``environment`` gets its address and its keys."""
    with passing_server(folder, bucket) as (server, process):
        for name, value in server.environment().items():
            environment.setenv(name, value)
        yield process
