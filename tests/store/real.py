"""The local S3 server in a test's environment."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.store import running_server


@contextmanager
def real_store(folder: Path, bucket: str, patch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[bytes]]":
    """The process of a server on ``folder``; ``patch`` puts its address and its keys into the environment."""
    with running_server(folder, bucket) as (server, process):
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield process
