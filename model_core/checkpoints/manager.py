"""Which checkpoints a run keeps: the best, the last, and every k-th epoch."""

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from model_core.checkpoints.files import load_training, load_weights, save_checkpoint, verify_checkpoint
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError

BEST, LAST = "best", "last"


class Saveable(Protocol):
    """What the manager must know of a training state."""

    model: nn.Module
    progress: Any

    def capture(self) -> dict[str, Any]:
        """Optimiser, scaler, random states and progress."""
        ...

    def restore(self, captured: dict[str, Any]) -> Any:
        """The inverse of ``capture``."""
        ...


@dataclass
class CheckpointManager:
    """Writes checkpoints into ``folder`` and finds the one to resume from.

    ``best`` holds weights only; ``last`` and ``epoch-0005``, … hold a whole training state.
    """

    folder: Path
    settings: ModelSettings
    inputs: ModelInputs
    interval: int
    """Epochs between two kept checkpoints."""
    keep: int
    """Kept checkpoints beside best and last; older ones are removed."""
    terminated: bool = field(default=False, init=False)

    def catch_termination(self) -> None:
        """From now on SIGTERM lets the step in progress end, saves, and exits with 143."""
        signal.signal(signal.SIGTERM, self._note_termination)

    def _note_termination(self, *_: object) -> None:
        self.terminated = True

    def after_step(self, state: Saveable) -> None:
        """Save and leave if the machine is being taken away."""
        if self.terminated:
            self._save(LAST, state)
            raise SystemExit(128 + signal.SIGTERM)

    def after_epoch(self, state: Saveable, improved: bool) -> None:
        """Save what the finished epoch calls for, and prune."""
        if improved:
            self._save(BEST, state, whole=False)
        self._save(LAST, state)
        if state.progress.epoch % self.interval == 0 and self.keep:
            self._save(f"epoch-{state.progress.epoch:04d}", state)
            for old in sorted(self.folder.glob("epoch-*"))[: -self.keep]:
                shutil.rmtree(old)

    def resume(self, state: Saveable) -> bool:
        """Restore ``state`` from the newest whole checkpoint; False if there is none."""
        for folder in [self.folder / LAST, self.folder / f".{LAST}.old", *self._kept()]:
            try:
                verify_checkpoint(folder)
            except CheckpointError:
                # An interrupted write leaves an older whole checkpoint behind; go on to that one.
                continue
            load_weights(folder, state.model)
            state.restore(load_training(folder))
            return True
        return False

    def _kept(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"), reverse=True)

    def _save(self, name: str, state: Saveable, whole: bool = True) -> None:
        progress = state.progress
        save_checkpoint(
            self.folder / name,
            state.model,
            settings=self.settings,
            inputs=self.inputs,
            info={
                "epoch": progress.epoch,
                "step": progress.step,
                "validation_loss": progress.history[-1]["validation_loss"] if progress.history else None,
                "best_epoch": progress.best_epoch,
            },
            training=state.capture() if whole else None,
        )
