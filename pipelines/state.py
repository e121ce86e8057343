"""The record of a local run while it goes on: written first, whole at every moment, and last when it is over."""

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from model_core.artifacts import code_version, read_json, replace_json
from model_core.config.run import Settings
from model_core.errors import ArtifactError, PipelineError
from model_core.results.run import (
    FAILED,
    INTERRUPTED,
    RECORD,
    RUNNING,
    STOPPED,
    SUCCEEDED,
    Attempt,
    RunRecord,
)
from model_core.versions import git_commit
from pipelines.runners.process import RunProgress
from pipelines.runs import headline_from, scores_sha256
from pipelines.stopping import StoppedBySignal

_MOST_ATTEMPTS = 20
"""In one record."""


class RunState:
    """Keeps ``<folder>/run.json``, which is a ``pipelines.runs.RunRecord``.

    Args:
        folder: of the run; its name is the run's.
        settings: of all steps; they go to ``settings.yaml``, too.
        source: the table, as it was given.
        progress: what the run remembers of its steps.

    Raises:
        PipelineError: by each method, if the record cannot be written.
    """

    def __init__(self, folder: Path, settings: Settings, source: str, progress: RunProgress) -> None:
        self._path, self._progress = folder / RECORD, progress
        values = settings.model_dump(mode="json")
        (folder / "settings.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        self._record = RunRecord(
            name=folder.name,
            source=source,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            status=RUNNING,
            code_version=code_version(),
            settings=values,
            git_commit=git_commit(),
            host=socket.gethostname(),
            attempts=_attempts(self._path),
        )

    def going_on(self) -> None:
        """The run begins, or a step of it."""
        self._write(status=RUNNING, running_step=self._progress.running)

    def ended_early(self, error: BaseException, seconds: float) -> None:
        """A step failed, or the run was stopped."""
        progress, stopped = self._progress, isinstance(error, KeyboardInterrupt)
        by_hand = "stopped by hand" if not isinstance(error, StoppedBySignal) else str(error)
        self._write(
            status=STOPPED if stopped else FAILED,
            failed_step=progress.running if stopped else progress.failed,
            reason=by_hand if stopped else progress.reason or f"{type(error).__name__}: {error}",
            seconds=seconds,
        )

    def succeeded(self, outputs: Mapping[str, Path], seconds: float) -> None:
        """All steps ended."""
        # Seen from here, so that the folder of all runs can be moved.
        artifacts = {name: os.path.relpath(path, self._path.parent) for name, path in outputs.items()}
        self._write(
            status=SUCCEEDED,
            artifacts=artifacts,
            seconds=seconds,
            scores_sha256=scores_sha256(outputs["evaluation"]),
            headline=headline_from(*(outputs[kind] for kind in ("evaluation", "findings", "dataset"))),
        )

    def _write(self, **state: Any) -> None:
        steps = {"step_seconds": self._progress.seconds, "reused": tuple(self._progress.reused)}
        record = self._record.model_copy(update=steps | state)
        try:
            replace_json(self._path, record.model_dump(mode="json"))
        except OSError as error:
            raise PipelineError(
                f"cannot write {self._path} ({error.strerror}); make room there and give the same command again"
            ) from error


def _attempts(path: Path) -> tuple[Attempt, ...]:
    """What the record of an earlier try at this run tells, unless it succeeded; this process holds the run."""
    try:
        earlier = RunRecord.model_validate(read_json(path))
    except (ArtifactError, ValidationError):
        # None yet, or a damaged one, which the new one replaces.
        return ()
    if earlier.status == SUCCEEDED:
        return ()
    status = INTERRUPTED if earlier.status == RUNNING else earlier.status
    step = earlier.running_step if earlier.status == RUNNING else earlier.failed_step
    last = Attempt(started_at=earlier.started_at, status=status, failed_step=step)
    return (*earlier.attempts, last)[-_MOST_ATTEMPTS:]
