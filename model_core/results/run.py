"""The record of a run: where it came from, how far it came, what it is worth; in its folder, and in a store of runs."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model_core.manifest import FileRecord
from model_core.results.headline import Headline

RECORD = "run.json"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
STOPPED = "stopped"
INTERRUPTED = "interrupted"


class Attempt(BaseModel):
    """An earlier try at a run of the same name, which did not succeed."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    started_at: str
    """In UTC."""
    status: str
    """``failed``, ``stopped`` or ``interrupted``."""
    failed_step: str | None = None
    """Where it ended; null before the first step."""


class RunRecord(BaseModel):
    """``run.json``: one run, whole at every moment while it goes on, and as a store of runs has it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    """Of this file's fields."""
    name: str
    """The folder's, too."""
    source: str
    """The market table, as it was given."""
    started_at: str
    """In UTC."""
    status: str
    """``running``, ``succeeded``, ``failed`` or ``stopped``."""
    code_version: str
    """Short hash of this project's sources."""
    settings: dict[str, object]
    """Of all steps."""
    running_step: str | None = None
    """Null before the first step, and when the run has ended."""
    failed_step: str | None = None
    """Where the run failed or was stopped."""
    reason: str = ""
    """Why, in words."""
    seconds: float | None = None
    """Of the whole run; null while it goes on."""
    step_seconds: dict[str, float] = Field(default_factory=dict)
    """Of each step that ran."""
    reused: tuple[str, ...] = ()
    """Steps whose output was taken from the cache."""
    artifacts: dict[str, str] = Field(default_factory=dict)
    """Folder or file of each artifact as seen from the run's folder, once the run has succeeded; absolute in records of
    earlier code."""
    scores_sha256: str | None = None
    """Of ``scores.json`` when the run succeeded; null before, and in records of earlier code."""
    git_commit: str | None = None
    """Of the sources; null outside a clone, and in records of earlier code."""
    host: str | None = None
    """Name of the machine; null in records of earlier code."""
    attempts: tuple[Attempt, ...] = ()
    """Tries that this run goes on from, oldest first."""
    headline: Headline | None = None
    """What it is worth, once it has succeeded; null in records of earlier code."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    """What lies beside a published record, by its path there; empty on the machine of the run."""
    published_at: str | None = None
    """In UTC; of two records with one name the later one counts."""
    sha256: str | None = None
    """Digest of everything above in a published record; null on the machine of the run."""

    def artifact(self, runs: Path, kind: str) -> Path | None:
        """Where an artifact is, if the run left it: within ``runs``, wherever that folder is now."""
        path = self.artifacts.get(kind)
        return None if path is None else Path(os.path.normpath(runs / self.name / path))
