"""What a run leaves for people: a history row per epoch, a line per few steps, a progress bar."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

log = logging.getLogger("pgat.train")


class RunLog:
    """Collects the history of a run in its folder.

    Args:
        folder: ``history.parquet`` and ``steps.jsonl`` are written here.
        step_interval: optimiser steps between two lines of ``steps.jsonl``.
    """

    def __init__(self, folder: Path, step_interval: int) -> None:
        self.folder = folder
        self._interval = step_interval
        self._steps = (folder / "steps.jsonl").open("a", encoding="utf-8")

    def step(self, epoch: int, step: int, **values: float) -> None:
        """Log an optimiser step if it is its turn."""
        if step % self._interval == 0:
            self._steps.write(json.dumps({"epoch": epoch, "step": step} | values) + "\n")
            self._steps.flush()

    def epoch(self, history: list[dict[str, Any]]) -> None:
        """Write the history of all finished epochs, and say the last one in a line."""
        row = history[-1]
        pq.write_table(pa.Table.from_pylist(history), self.folder / "history.parquet")
        log.info(
            "epoch %d: train %.5f, validation %.5f, learning rate %.2e, %.1f s",
            row["epoch"],
            row["train_loss"],
            row["validation_loss"],
            row["learning_rate"],
            row["seconds"],
        )

    def close(self) -> None:
        """Close the files."""
        self._steps.close()


def progress_bar(total: int, description: str, done: int = 0) -> "tqdm[Any]":
    """Batches done and time left, on a terminal only; elsewhere the epochs' lines are enough."""
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit="batch",
        leave=False,
        disable=not sys.stderr.isatty(),
    )
