"""What tests of pipelines and runs share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.kubeflow_server import Api
from tests.pipeline.registry_server import ModelRegistry
from tests.serving import answering


@pytest.fixture
def api() -> Iterator[Api]:
    with answering(Api(["PENDING", "RUNNING", "SUCCEEDED"])) as server:
        yield server


@pytest.fixture
def registry() -> Iterator[ModelRegistry]:
    with answering(ModelRegistry()) as server:
        yield server


@pytest.fixture
def kfps_own_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KFP's ``SubprocessRunner`` finds this Python, whose path it does not quote, and the programs beside it."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(python))
