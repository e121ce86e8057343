"""Whether a model was registered, and why: ``registration.json``."""

from typing import ClassVar

from model_core.results.record import Count, Record, Result, Rows, Words
from model_core.results.skill import Comparison


class AgainstChampion(Record):
    """The model against the newest registered one, both on the test windows of this run."""

    version: Words
    """What the registry calls the champion's version."""
    windows: Count
    """How many test windows both forecast."""
    point: Comparison | None
    """In squared log error of all targets and days; null if they cannot be compared."""
    distribution: Comparison | None
    """In the mean pinball loss of Close at 5, 25, 75 and 95 %; null unless both have these quantiles."""


class Registration(Result):
    """``registration.json``: what became of a model that a run offered to the registry."""

    file: ClassVar[str] = "registration.json"
    step: ClassVar[str] = "register_model"
    version: ClassVar[int] = 1

    model_name: Words
    """What the registry calls the model."""
    model_version: Words
    """Digest of the checkpoint: the same model twice is one version."""
    registered: bool
    """Whether the registry holds it now, from this run or an earlier one."""
    version_id: Words | None
    """The registry's own id; null if it was not registered."""
    reasons: Rows[Words]
    """Why it was not registered, in sentences; empty if it was."""
    champion: AgainstChampion | None
    """Null if there was none, or if the model was worse than a baseline."""
