"""How each step of a run on a cluster fares, noted in the store of the run's artifacts for the step that ends the run.

KFP tells its exit handler whether the steps as a whole failed, but not which of them, or why. What a failed step wrote
is not kept, and a pod that is killed says nothing at all. So each step notes that it begins, and then that it ended or
why it failed. Notes stand beside the step's artifacts, which takes no parameter, and so leaves KFP's cache alone:

    <pipeline root>/<pipeline>/<run>/notes/<step>.json
    <pipeline root>/<pipeline>/<run>/notes/report.html, summary.md     what a failed report step had written
"""

import json
import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from components.steps import ALL_STEPS
from model_core.deadlines import Deadline, within
from model_core.documents import parse_json
from model_core.errors import OversizedError, PgatError, StoreError, UserError, shortened, shown
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import s3_uri
from model_core.texts import DocumentError
from model_core.variables import STEP_NOTES

log = logging.getLogger("pgat.notes")
State = Literal["began", "ended", "failed"]
BEGAN: State = "began"
ENDED: State = "ended"
FAILED: State = "failed"
REPORT = "report.html"
SUMMARY = "summary.md"
"""Files that a failed report step leaves beside the notes."""
_FOLDER = "notes"
_LINES = 30
"""Last lines of a step's log that its note keeps."""
_LINE_CHARACTERS = 500
_NOTE_BYTES = 2**17
_PATIENCE_SECONDS = 30.0
"""Longest that a step waits for the store to take a note."""


def _line(text: str) -> str:
    return shortened(text, _LINE_CHARACTERS)


def _sentence(text: str) -> str:
    return shortened(text, 3_000)


class StepNote(BaseModel):
    """``<step>.json``: how a step fares, whoever wrote it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    state: State
    began_at: AwareDatetime
    """In UTC."""
    seconds: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """How long it took; null while it works."""
    reason: Annotated[str, AfterValidator(_sentence)] = ""
    """Why it failed."""
    last_lines: tuple[Annotated[str, AfterValidator(_line)], ...] = Field(default=(), max_length=2 * _LINES)
    """The last lines of its log before it failed."""


def notes_beside(artifact: str, step: str) -> str:
    """URI of the notes of the run that one of ``step``'s artifacts belongs to.

    Args:
        artifact: URI that KFP gave it, e.g. ``minio://bucket/root/pipeline/run/train/execution/metrics``; a path under
            ``kfp.local``.

    Raises:
        StoreError: it is not in a folder of that step.
    """
    root, found, _ = s3_uri(artifact).rpartition(f"/{step.replace('_', '-')}/")
    if not found:
        raise StoreError(f"{artifact} is not an artifact of the step {step} as KFP names them", uri=artifact)
    return f"{root}/{_FOLDER}"


@contextmanager
def noted(artifact: str, left: Mapping[str, Path]) -> Iterator[None]:
    """Note how the block fares, if the environment asks for that; a note that cannot be written is only a warning.

    Args:
        artifact: URI of one of the step's artifacts.
        left: name → file that is kept beside the notes if the step fails after it wrote that file.
    """
    step = os.environ.get(STEP_NOTES)
    if not step:
        yield
        return
    note = _Writer(artifact, step)
    note.write(BEGAN)
    with _last_lines() as said:
        try:
            yield
        except BaseException as error:
            note.keep(left)
            said += _traceback(error)
            note.write(FAILED, reason=_reason(error), last_lines=tuple(map(_line, said)))
            raise
    note.write(ENDED)


def read_notes(store: Store) -> dict[str, StepNote]:
    """Step → its note, for each that wrote one; a file in its place that is no note is named in a warning.

    Raises:
        StoreError: the store cannot be reached.
    """
    found = {}
    there = set(store.keys())
    for step in ALL_STEPS:
        if (key := f"{step}.json") not in there:
            continue
        try:
            found[step] = StepNote.model_validate(parse_json(store.read(key, _NOTE_BYTES)))
        except (DocumentError, ValidationError, OversizedError) as error:
            log.warning("%s in %s is not the note of a step (%s)", key, store.uri, _line(str(error)))
    return found


class _Writer:
    """Writes the notes of one step."""

    def __init__(self, artifact: str, step: str) -> None:
        self._step, self._began_at, self._begun = step, datetime.now(UTC), time.monotonic()
        self._store: Store | None = None
        try:
            self._store = open_store(notes_beside(artifact, step))
        except UserError as error:
            self._give_up(error)

    def write(self, state: State, **more: object) -> None:
        seconds = None if state == BEGAN else time.monotonic() - self._begun
        fields = {"state": state, "began_at": self._began_at, "seconds": seconds} | more
        content = StepNote.model_validate(fields).model_dump(mode="json")
        self._send(f"{self._step}.json", json.dumps(content).encode())

    def keep(self, left: Mapping[str, Path]) -> None:
        for name, path in left.items():
            try:
                content = path.read_bytes() if path.is_file() else None
            except OSError as error:
                log.warning("%s is not kept beside the notes (%s)", path, error.strerror)
                continue
            if content is not None:
                self._send(name, content)

    def _send(self, key: str, content: bytes) -> None:
        if self._store is None:
            return
        try:
            with within(Deadline.after(_PATIENCE_SECONDS)):
                self._store.write(key, content)
        except UserError as error:
            self._give_up(error)

    def _give_up(self, error: UserError) -> None:
        self._store = None
        log.warning(
            "how this step fares is not noted for the end of the run (%s); the pods need the keys of the store of "
            "KFP's artifacts, see --secret and --store-role",
            error,
        )


@contextmanager
def _last_lines() -> Iterator[deque[str]]:
    """The last lines that are logged within the block."""
    lines: deque[str] = deque(maxlen=_LINES)

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(shown(record.getMessage()))

    handler = Keeper(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


def _traceback(error: BaseException) -> list[str]:
    """The last lines of an error's traceback; none for an error that this code raises on purpose."""
    if isinstance(error, PgatError | PermissionError):
        return []
    text = "".join(traceback.format_exception(error))
    return [shown(line) for line in text.splitlines()[-_LINES:]]


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, PgatError) else f"{type(error).__name__}: {error}"
