"""How long anything waits: limits for a store, and one deadline for everything that happens at a run's end.

``Limits`` are the section ``store`` of the settings. Whoever makes a client of a store reads them from the
environment, where each command puts them for itself and for the processes that it starts.

``Ending`` is made once a run. Whatever is waited for at the run's end is waited for within its deadline: so many
seconds for all of it together, or from the moment at which SIGTERM came. ``within`` makes a deadline hold for every
store that the block asks.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Self

from model_core.errors import SettingsError
from model_core.variables import LIMITS


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a store may take. A rate is in bytes a second."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float = 120.0
    least_bytes_per_second: float = 10_000.0
    rate_window_seconds: float = 30.0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """What the command that runs, or started this process, was told; the usual ones if it was told nothing.

        Raises:
            SettingsError: the variable holds something else.
        """
        if not (text := environment.get(LIMITS)):
            return cls()
        try:
            limits = cls(**{name: float(value) for name, value in json.loads(text).items()})
            fits = all(value > 0 for value in asdict(limits).values())
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise SettingsError(_misread()) from error
        if not fits:
            raise SettingsError(_misread())
        return limits

    def as_text(self) -> str:
        """What the environment variable holds for these; empty for the usual ones."""
        return json.dumps(asdict(self)) if self != Limits() else ""

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Within it they hold for every store that this process opens, and for the processes that it starts."""
        before = os.environ.get(LIMITS, "")
        _put(self.as_text())
        try:
            yield
        finally:
            _put(before)


def _put(text: str) -> None:
    os.environ.pop(LIMITS, None)
    if text:
        os.environ[LIMITS] = text


def _misread() -> str:
    return f"{LIMITS} does not hold limits; unset it, and use the settings in the section store instead"


@dataclass(frozen=True, order=True)
class Deadline:
    """A moment after which nothing is waited for any more, on the clock of ``time.monotonic``."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """``seconds`` from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(self.at - time.monotonic(), 0.0)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """What this thread asks of a store in the block is given up at ``deadline``, or at an outer one before it."""
    token = _current.set(min(deadline, current()))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Deadline:
    """The deadline that holds for this thread now; an endless one if there is none."""
    return _current.get() or Deadline(float("inf"))


class Ending:
    """The one deadline for everything that happens at the end of a run.

    Args:
        patience_seconds: for all that is waited for when the work is done, together.
        grace_seconds: from the arrival of SIGTERM, since whoever sends it counts from there and then kills.
    """

    def __init__(self, patience_seconds: float, grace_seconds: float) -> None:
        self._patience, self._grace = patience_seconds, grace_seconds
        self._killed_at = Deadline(float("inf"))

    def terminated(self) -> None:
        """SIGTERM came; a later one gives no more time."""
        self._killed_at = min(self._killed_at, Deadline.after(self._grace))

    @contextmanager
    def waiting(self) -> Iterator[Deadline]:
        """Within it this thread waits for something at the end of the run, and no longer than until this deadline."""
        begun = time.monotonic()
        deadline = min(Deadline.after(self._patience), self._killed_at)
        try:
            with within(deadline):
                yield deadline
        finally:
            self._patience = max(self._patience - (time.monotonic() - begun), 0.0)
