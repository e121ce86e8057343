"""Chronological splits of anchor rows, with a purge between them.

Anchor row r stands for the window that knows rows r − S + 1 … r and forecasts rows r + 1 … r + P.
A split owns a stretch of target rows, and its windows are those whose P target rows all lie in it. So
a window belongs to the split of its last target date, the last target dates of neighboring splits
are pred_len rows apart, and no target row is shared: that is the purge.
"""

import math
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model_core.config.data import (
    DateSplit,
    RatioSplit,
    RollingSplit,
    SplitSettings,
    TailSplit,
    WindowSettings,
)
from model_core.errors import SourceError

MIN_INDEPENDENT_WINDOWS = 5
"""Below this many, no verdict on a forecast is given: no test keeps its promise (``benchmarks/null_markets.py``)."""


def independent_windows(windows: int, horizon: int) -> float:
    """How many of ``windows`` neighboring windows of ``horizon`` days share no day, rounded down to a tenth."""
    return math.floor(10 * windows / horizon) / 10


@dataclass(frozen=True)
class Span:
    """Anchor rows ``first`` … ``stop`` − 1, each of them one window; none if ``stop`` is not above ``first``."""

    first: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.first)


@dataclass(frozen=True)
class Splits:
    """Anchor rows of the three splits, in chronological order."""

    train: Span
    validation: Span
    test: Span

    def to_json(self) -> dict[str, dict[str, int]]:
        """Rows as written in ``splits.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, dict[str, int]]) -> Self:
        """The inverse of ``to_json``."""
        return cls(**{name: Span(**value[name]) for name in ("train", "validation", "test")})


def make_splits(
    dates: NDArray[np.datetime64], window: WindowSettings, settings: SplitSettings, scale_rows: int
) -> Splits:
    """The splits that ``settings`` ask for on a table with these ascending ``dates`` [R].

    Raises:
        SourceError: a split would be too short for a window.
    """
    train_end, validation_end, test_end = _target_borders(dates, settings)
    horizon = window.pred_len
    known = max(window.seq_len, scale_rows)
    first = known - 1
    shorter = "data.scale_rows" if scale_rows > window.seq_len else "data.window"
    spans = {
        "train": Span(first, train_end - horizon),
        "validation": Span(max(first, train_end - 1), validation_end - horizon),
        "test": Span(max(first, validation_end - 1), test_end - horizon),
    }
    for name, span in spans.items():
        if len(span) < 1:
            raise SourceError(
                f"the table has {len(dates)} rows, {dates[0]} … {dates[-1]}, too few for one {name} window of "
                f"{known} known and {horizon} forecast rows under data.splits kind {settings.kind}; "
                f"give a longer table, or smaller {shorter} or data.splits settings"
            )
    return Splits(**spans)


def _target_borders(dates: NDArray[np.datetime64], settings: SplitSettings) -> tuple[int, int, int]:
    """Rows at which the train, validation and test targets end (exclusive)."""
    rows = len(dates)
    match settings:
        case RatioSplit(train=train, validation=validation):
            # The small addition keeps 0.7 + 0.1 from falling one row short of 0.8.
            return int(rows * train + 1e-9), int(rows * (train + validation) + 1e-9), rows
        case TailSplit(validation=validation, test=test):
            return rows - test - validation, rows - test, rows
        case DateSplit(validation_start=validation_start, test_start=test_start, test_end=test_end):
            ends = [validation_start, test_start] + ([test_end] if test_end else [])
            borders = [int(np.searchsorted(dates, np.datetime64(end))) for end in ends]
            return borders[0], borders[1], borders[2] if test_end else rows
        case RollingSplit(folds=folds, fold=fold, test=test, validation=validation):
            test_stop = rows - (folds - 1 - fold) * test
            return test_stop - test - validation, test_stop - test, test_stop
