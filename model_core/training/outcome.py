"""How a run ends: why, and with what."""

import logging
import math
from dataclasses import dataclass

from model_core.config.run import TrainingSettings
from model_core.errors import TrainingError
from model_core.results.training import HistoryRow
from model_core.training.memory import MemoryLog
from model_core.training.state import Progress

log = logging.getLogger("pgat.train")
LEAK_WARNING_MB_PER_EPOCH = 16.0
"""Far above what an allocator keeps for itself now and then, far below what a tensor kept at every step adds up to."""


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    best_epoch: int
    """0 is the untrained model."""
    best_validation_loss: float
    untrained_validation_loss: float | None
    """Of the model before its first step; None for a run that began with code that did not score it."""
    epochs: int
    stopped_because: str
    resumed_at: tuple[int, int] | None
    """Epochs finished and steps done when this attempt went on from a checkpoint."""
    history: list[HistoryRow]

    @property
    def lost_best_epoch(self) -> int | None:
        """The epoch with the lowest loss, if its weights were lost to damage and another one is the best now."""
        losses = {int(row["epoch"]): row["validation_loss"] for row in self.history}
        if self.untrained_validation_loss is not None:
            losses[0] = self.untrained_validation_loss
        finite = {epoch: loss for epoch, loss in losses.items() if math.isfinite(loss)}
        lowest = min(finite, key=lambda epoch: finite[epoch])
        return lowest if finite[lowest] < self.best_validation_loss else None


def reason_to_stop(progress: Progress, settings: TrainingSettings) -> str:
    """Why training is over; empty while it is not."""
    if progress.epoch >= settings.train_epochs:
        return "all epochs done"
    if settings.patience < 999 and progress.epochs_without_gain >= settings.patience:
        epochs = "1 epoch" if settings.patience == 1 else f"{settings.patience} epochs"
        return f"no lower validation loss for {epochs} (training.patience)"
    return ""


def result_of(
    progress: Progress, stopped_because: str, resumed_at: tuple[int, int] | None, memory: MemoryLog
) -> TrainingResult:
    """The result of a run that is over; warns of memory that grew.

    Raises:
        TrainingError: no epoch can be the best.
    """
    if not progress.has_best:
        raise TrainingError(
            "no epoch had a finite validation loss, so there is no best checkpoint; "
            "lower training.learning_rate or set training.precision: fp32"
        )
    growth = memory.growth_mb_per_epoch()
    if growth is not None and growth > LEAK_WARNING_MB_PER_EPOCH:
        log.warning("memory grew by %.0f MiB an epoch; see memory_diagnostics.log", growth)
    return TrainingResult(
        best_epoch=progress.best_epoch,
        best_validation_loss=progress.best_loss,
        untrained_validation_loss=progress.untrained_loss,
        epochs=progress.epoch,
        stopped_because=stopped_because,
        resumed_at=resumed_at,
        history=progress.history,
    )
