"""What tests of pipelines and runs share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.__main__ import main
from tests.pipeline.ended_runs import Ended, ended_runs
from tests.pipeline.kubeflow_server import Api
from tests.pipeline.registry_server import ModelRegistry
from tests.pipeline.shelf import Says, publish_runs
from tests.security.hostile_s3 import HostileS3
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
def ended(tmp_path: Path) -> Ended:
    """Two runs, of which both are the small run."""
    return ended_runs(tmp_path)


@pytest.fixture
def published(tmp_path: Path, s3: HostileS3) -> Path:
    """The folder of the runs that stand on the shelf of the store."""
    publish_runs(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Says:
    """What ``runs`` prints, given the words after it."""

    def printed(*words: str) -> str:
        capsys.readouterr()
        assert main(["runs", *words]) == 0
        return capsys.readouterr().out

    return printed


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Says:
    """The error of ``runs``, which it refuses with exit code 2."""

    def error(*words: str) -> str:
        capsys.readouterr()
        assert main(["runs", *words]) == 2
        return capsys.readouterr().err

    return error


@pytest.fixture
def kfps_own_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KFP's ``SubprocessRunner`` finds this Python, whose path it does not quote, and the programs beside it."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(python))
