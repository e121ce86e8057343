"""What a run leaves for people: a row per epoch, a line per few steps, TensorBoard."""

import logging
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model_core.checkpoints.control import StepLine, repair_log
from model_core.config.run import TrainingSettings
from model_core.results.training import HistoryRow
from model_core.training.logs import Board, Harmless, LineLog
from model_core.training.state import Progress
from model_core.training.step import StepResult

log = logging.getLogger("pgat.train")
HISTORY = "history.parquet"


class RunLog:
    """Collects the history of a run in its folder; a resumed run goes on where its checkpoint was.

    Args:
        folder: ``history.parquet``, ``steps.jsonl`` and ``tensorboard/`` are written here.
        settings: how often, and whether for TensorBoard.
        progress: where the run stands; later lines of an interrupted run are dropped.
        watch: called with each finished epoch.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainingSettings,
        progress: Progress,
        watch: Callable[[HistoryRow], None] | None = None,
    ) -> None:
        self._history, self._keep_history = folder / HISTORY, Harmless(folder / HISTORY)
        self._settings, self._watch = settings, watch
        steps = folder / "steps.jsonl"
        # A killed process may have left lines of steps that the checkpoint does not know.
        repair_log(steps, StepLine, lambda at: (at.epoch - 1, at.step) <= (progress.epoch, progress.step))
        self._steps = LineLog(steps)
        self._board = Board(folder / "tensorboard") if settings.tensorboard else None
        self._resumed_at: tuple[int, int] | None = (progress.epoch, progress.step)
        if progress.history:
            self._write_history(progress)

    def close(self) -> None:
        """No more lines."""
        self._steps.close()
        if self._board is not None:
            self._board.close()

    def step(
        self, progress: Progress, steps: int, result: StepResult, learning_rate: float, memory_mb: float
    ) -> None:
        """Log an optimizer step if it is its turn, the epoch's last, or was not taken."""
        its_turn = progress.step % self._settings.step_log_interval == 0 or progress.step == steps
        if result.applied and not its_turn:
            return
        # Clocks may say that a step took no time at all.
        speed = progress.windows / max(progress.seconds, 1e-9)
        line = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            **{f"loss_{name}": _finite_or_null(value) for name, value in result.losses.items()},
            "learning_rate": learning_rate,
            "gradient_norm": _finite_or_null(result.gradient_norm),
            "taken": result.applied,
            "samples_per_second": speed,
            "memory_mb": memory_mb,
        }
        self._steps.write(line)
        if self._board is not None:
            self._forget_what_is_done_again(self._board, steps)
            scalars = {**result.losses, "gradient_norm": result.gradient_norm, "learning_rate": learning_rate}
            self._board.scalars(
                {f"step/{name}": value for name, value in scalars.items()},
                progress.epoch * steps + progress.step,
            )

    def epoch(
        self, progress: Progress, validation: dict[str, float], learning_rate: float, memory_mb: float
    ) -> None:
        """Add the finished epoch to the history, write it, and say it in a line."""
        # An epoch whose steps were all skipped has sums of 0.
        applied = max(progress.step - progress.skipped_steps, 1)
        means = {name: total / max(progress.windows, 1) for name, total in progress.loss_sums.items()}
        row: HistoryRow = {
            "epoch": progress.epoch,
            "learning_rate": learning_rate,
            "train_loss": means.pop("total", math.nan),
            "validation_loss": validation["total"],
            "gradient_norm": progress.gradient_norm_sum / applied,
            "skipped_steps": progress.skipped_steps,
            "seconds": progress.seconds,
            "samples_per_second": progress.windows / max(progress.seconds, 1e-9),
            "peak_memory_mb": memory_mb,
        }
        row |= {f"train_{name}": value for name, value in means.items()}
        row |= {f"validation_{name}": value for name, value in validation.items() if name != "total"}
        progress.history.append(row)
        self._write_history(progress)
        if self._watch is not None:
            self._watch(row)
        if self._board is not None:
            self._forget_what_is_done_again(self._board, progress.step)
            self._board.scalars({f"epoch/{name}": value for name, value in row.items()}, progress.epoch)
        log.info(
            "epoch %d: train %.5f, validation %.5f, learning rate %.2e, %.1f s",
            row["epoch"],
            row["train_loss"],
            row["validation_loss"],
            row["learning_rate"],
            row["seconds"],
        )

    def _forget_what_is_done_again(self, board: Board, steps: int) -> None:
        """At the first value of a run; ``steps`` are those of an epoch."""
        if self._resumed_at is None:
            return
        (epoch, step), self._resumed_at = self._resumed_at, None
        last = {"step": epoch * steps + step, "epoch": epoch}
        board.forget(lambda name, at: at > last.get(name.partition("/")[0], at))

    def _write_history(self, progress: Progress) -> None:
        # The checkpoints hold it, too, and it is written once more at the end.
        self._keep_history(lambda: write_history(self._history, progress.history))


def write_history(path: Path, history: list[HistoryRow]) -> None:
    """Replace the table with a row per epoch."""
    pq.write_table(pa.Table.from_pylist(history), path)


def _finite_or_null(value: float) -> float | None:
    """``None`` for NaN and infinity, which JSON has no words for."""
    return value if math.isfinite(value) else None
