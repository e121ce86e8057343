"""The control files of a run, and the one way to read them: small JSON that says what the large files are.

    checkpoint.json                   ``CheckpointManifest``  hashes of a checkpoint's files
    settings.json                     ``Saved``               what rebuilds the model, and where its run stood
    checkpoints/<epoch>-<step>.json   ``MirroredCheckpoint``  a checkpoint in a mirror
    owner.json                        ``Owner``               the run that writes to a mirror
    steps.jsonl                       ``StepLine``            a line per few steps
    memory_diagnostics.log            ``MemoryLine``          a line per stage

A disk, a store or a process that was killed may have left anything in them. Each is read through a schema and up
to a size; whatever does not fit is ``Damage`` whose text says why, and what then happens is the reader's to decide.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_core.config.run import MOST_SEEDS
from model_core.documents import parse_json
from model_core.errors import shortened
from model_core.manifest import FileRecord
from model_core.texts import read_text

log = logging.getLogger("pgat.checkpoints")
Kind = TypeVar("Kind", bound=BaseModel)
MAX_BYTES = 2**24
"""Largest control file; real ones have some kilobytes."""
MAX_LINE_BYTES = 2**20
"""Longest line of a log; real ones have some hundred bytes, the summary of a CUDA allocator some thousand."""
_COUNT = Field(ge=0, lt=2**31)


class Damage(ValueError):
    """A control file or what it vouches for is not what it should be; the text is the reason alone."""


class _Control(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class _Open(BaseModel):
    """A file that grows new fields from version to version; what is asked of it is checked, the rest is kept."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="allow", protected_namespaces=(), use_attribute_docstrings=True
    )


class CheckpointManifest(_Control):
    """``checkpoint.json``: the hashes of a checkpoint's files, written last."""

    files: dict[str, FileRecord] = Field(min_length=1)
    """Every other file of the checkpoint, by its path in it."""


class MirroredCheckpoint(_Control):
    """``checkpoints/<epoch>-<step>.json``: one checkpoint of a mirror, written once all its files are there."""

    schema_version: Literal[1]
    """Of this file's fields."""
    epoch: int = _COUNT
    """Epochs finished."""
    step: int = _COUNT
    """Steps done since."""
    files: dict[str, FileRecord] = Field(min_length=1)
    """By their path in the run's folder; the content stands in ``blobs/`` under its SHA-256."""


class Owner(_Control):
    """``owner.json``: which run writes to a mirror, and the beat that says whether it is alive."""

    run: str
    """Drawn by chance when the run began."""
    host: str
    """The machine that it runs on."""
    process: int = Field(gt=0, lt=2**31)
    """Its number on that machine."""
    beat: int
    """Counted up every ten seconds."""


class SavedInfo(_Open):
    """What was known when a checkpoint was saved; one that is exported may know less than one of a run."""

    epoch: int = _COUNT
    """Epochs finished."""
    step: int = Field(0, ge=0, lt=2**31)
    """Steps done since."""
    validation_loss: float | None = None
    """Mean over all validation windows; null if it was not computed yet."""
    run: dict[str, object] = Field(default_factory=dict)
    """The identity of the run that it belongs to."""
    training: dict[str, object] = Field(default_factory=dict)
    """The section ``training`` of the settings that the run had then; some of it may change when it goes on."""


class Saved(_Open):
    """``settings.json``: what rebuilds the model of a checkpoint, and where its run stood."""

    model: dict[str, object]
    """The section ``model`` of the settings."""
    inputs: dict[str, object]
    """What the model must know of its dataset: layout, window, scaling, the structured walk and its width."""
    info: SavedInfo
    versions: dict[str, str | None] = Field(default_factory=dict)
    """Of Python, of each package that may change a result, and of this project's sources."""


class Ensemble(_Control):
    """``ensemble.json``: the models that forecast together, where ``training.seeds`` trained several."""

    members: Annotated[
        tuple[Annotated[str, Field(pattern=r"^member-[0-9]{1,3}$")], ...],
        Field(strict=False, min_length=1, max_length=MOST_SEEDS),
    ]
    """Names of their folders, each of them a checkpoint."""
    validation_loss: float | None
    """Of all members together; null if it is not finite."""


class StepLine(_Open):
    """``steps.jsonl``: one JSON object a line for every few optimizer steps, and for each that was not taken."""

    epoch: int
    """From 1."""
    step: int
    """From 1, within the epoch."""
    learning_rate: float | None = None
    """Of this step."""
    loss_total: float | None = None
    """Mean over the step's windows; null if it was not finite. ``loss_<part>`` beside it are the loss's parts."""
    gradient_norm: float | None = None
    """Before clipping; null if it was not finite."""
    taken: bool | None = None
    """Whether loss and gradient were finite, so that the weights moved."""
    samples_per_second: float | None = None
    """Training windows a second, over the epoch so far."""
    memory_mb: float | None = None
    """MiB, the largest of the run so far."""


class MemoryLine(_Open):
    """``memory_diagnostics.log``: one JSON object a line, at every stage of a run and every few batches."""

    stage: str
    """``device``, ``data``, ``model``, ``epoch_start``, ``batch``, ``epoch_end``, ``exception``, …"""
    seconds: float
    """Since the log was opened."""
    process_rss_mb: float | None = None
    """MiB that the process holds now; ``process_peak_rss_mb`` is the most so far, ``system_*`` the machine's memory
    and ``cuda_*`` that of the device's allocator."""


def parse(kind: type[Kind], content: str | bytes) -> Kind:
    """The control file that ``content`` is.

    Raises:
        Damage: it does not fit the schema.
    """
    try:
        value = parse_json(content)
    except ValueError as error:
        raise Damage(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Damage("it is not a JSON object")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shortened(".".join(map(str, first["loc"])))
        raise Damage(f"its field {where} does not fit: {first['msg']}") from error


def load(kind: type[Kind], path: Path) -> Kind:
    """The control file at ``path``.

    Raises:
        Damage: it is missing, too large, cannot be read, or does not fit the schema.
    """
    try:
        return parse(kind, read_text(path, MAX_BYTES))
    except FileNotFoundError as error:
        raise Damage("it is missing") from error
    except OSError as error:
        raise Damage(f"it cannot be read ({error.strerror})") from error
    except Damage:
        raise
    except ValueError as error:
        raise Damage(str(error)) from error


def _any(line: object) -> bool:
    return True


def repair_log(path: Path, kind: type[Kind], wanted: Callable[[Kind], bool] = _any) -> None:
    """Keep the lines of a log that are whole and wanted, so that more can be appended; says what was damaged.

    Half a line at the end is what a killed process leaves; it is dropped without a warning.

    Raises:
        OSError: the log cannot be read or written.
    """
    if not path.exists():
        return
    staging = path.with_name(f".{path.name}-repaired")
    faults: list[str] = []
    with path.open("rb") as lines, staging.open("wb") as kept:
        while line := lines.readline(MAX_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                break
            try:
                if wanted(parse(kind, line)):
                    kept.write(line)
            except Damage as damage:
                faults.append(str(damage))
    staging.replace(path)
    if faults:
        log.warning("%s: left out %d damaged line(s) (%s)", path, len(faults), shortened(faults[0]))
