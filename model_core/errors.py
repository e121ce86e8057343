"""Every error the package raises on purpose, drawn once.

    PgatError                   anything below; its text is one sentence with a next step
    ├── UserError               the caller can mend it; commands exit with code 2
    │   ├── SettingsError       a settings file, an --set override or a combination of settings
    │   ├── SourceError         a market table that cannot be read or is refused by the quality gate
    │   ├── SkyError            a date or place the ephemeris does not cover
    │   ├── ArtifactError       a step's folder is missing, damaged, or made by another step
    │   ├── StoreError          an object store or folder that cannot be read or written
    │   └── CheckpointError     a checkpoint that is missing, damaged or does not fit the model
    └── RunError                the work itself failed; commands exit with code 1
        ├── TrainingError       a loss that stays non-finite, memory that is not enough
        ├── InvariantError      a forecast broke a property that must always hold
        └── PipelineError       a step of a pipeline run failed

Library errors (pydantic, pyarrow, minio, safetensors, kfp, …) are mapped to one of these where they
arise, with ``raise … from error``, so that a command prints one sentence and never a traceback.
"""

from collections.abc import Sequence
from typing import ClassVar


class PgatError(Exception):
    """Base of all deliberate errors. ``exit_code`` is what a command returns for it.

    The text is bounded. Where it leaves something out, ``details`` has it, one line each; commands write
    them to a file and say where.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, text: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.details = tuple(details)


class UserError(PgatError):
    """The input is wrong; the message names the place and the remedy."""

    exit_code: ClassVar[int] = 2


class SettingsError(UserError):
    """A setting is unknown, has a wrong value, or contradicts another one."""


class SourceError(UserError):
    """A market table cannot be read, or the quality gate refuses it."""


class SkyError(UserError):
    """A date or place lies outside what the ephemeris covers."""


class ArtifactError(UserError):
    """A step's output folder is missing, incomplete, damaged or of the wrong kind."""


class StoreError(UserError):
    """An object store (or the folder that stands in for one) cannot be read or written."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or belongs to another model or run."""


class RunError(PgatError):
    """The input was fine but the work failed."""


class TrainingError(RunError):
    """Training cannot go on: non-finite losses in a row, or not enough memory."""


class InvariantError(RunError):
    """A forecast broke a property that must always hold (finite, equivariant, leak-free, …)."""


class PipelineError(RunError):
    """A step of a pipeline run failed; the message names the step and its error."""
