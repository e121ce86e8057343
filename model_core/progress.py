"""Signs of life of work that takes a while: a bar on a terminal, elsewhere a plain line now and then.

Lines go where the log goes, so that a pod, a pipe and a log file hold them, too. Work that is over within
seconds says nothing there.
"""

import logging
import sys
import time
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

log = logging.getLogger("pgat.progress")
FIRST_LINE_SECONDS = 10.0
LINES_APART_SECONDS = 60.0
"""Lines come ten seconds apart at first, and further apart as the work goes on, up to this."""


class ProgressMeter:
    """How far some work has come; a context manager that is told of each piece done.

    Args:
        what: the work, e.g. ``forecasting test windows``.
        total: how many pieces there are.
        unit: what a piece is called, in the plural.
        done: pieces done before, e.g. by the run that this one goes on from.
        shown: False for a process that another one speaks for.
        after: seconds before the bar appears on a terminal, for work that is mostly over by then.
        clock: seconds, from any origin.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        *,
        done: int = 0,
        shown: bool = True,
        after: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._first = self._done = done
        on_terminal = sys.stderr.isatty()
        self._lines = shown and not on_terminal
        self.bar: tqdm[Any] = tqdm(
            desc=what,
            total=total,
            unit=f" {unit}",
            initial=done,
            leave=False,
            delay=after,
            disable=not (shown and on_terminal),
        )
        self._lock = Lock()
        self._clock = clock
        self._begun = self._spoke = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def update(self, pieces: int = 1, note: str = "") -> None:
        """Count ``pieces`` more as done, from any thread; ``note`` says how it goes, e.g. the loss."""
        with self._lock:
            self._count(pieces, note)

    def _count(self, pieces: int, note: str) -> None:
        self._done += pieces
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(pieces)
        now = self._clock()
        if self._lines and now - self._spoke >= _pause(now - self._begun) and self._done < self._total:
            self._spoke = now
            log.info("%s", self._line(now - self._begun, note))

    def _line(self, elapsed: float, note: str) -> str:
        left = elapsed * (self._total - self._done) / max(self._done - self._first, 1)
        parts = [
            f"{self._what}: {self._done} of {self._total} {self._unit} ({self._done / self._total:.0%})",
            f"{duration(elapsed)} so far",
            f"about {duration(left)} left",
        ]
        return ", ".join([*parts, note] if note else parts)


def duration(seconds: float) -> str:
    """95 → ``1 min 35 s``."""
    seconds = round(seconds)
    if seconds <= 90:
        return f"{seconds} s"
    if seconds < 5400:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _pause(elapsed: float) -> float:
    """Seconds between two lines after ``elapsed`` seconds of work: a tenth of them, within bounds."""
    return min(max(FIRST_LINE_SECONDS, elapsed / 10), LINES_APART_SECONDS)
