"""Which checkpoints a run keeps, when it saves them, and from which one it goes on.

``best`` holds weights only; ``last`` and ``epoch-0005``, … hold the whole state of the run.
"""

import logging
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from model_core.checkpoints.files import (
    changed_versions,
    load_training,
    load_weights,
    recover,
    save_checkpoint,
    saved_info,
    verify_checkpoint,
)
from model_core.checkpoints.mirror import Mirror
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError

log = logging.getLogger("pgat.checkpoints")
BEST, LAST, DEBUG = "best", "last", "debug"
MIRRORED = (BEST, LAST, "steps.jsonl", "memory_diagnostics.log", "tensorboard")


class Team(Protocol):
    """What saving must know of the processes that train together."""

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        ...

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether one of the processes raised it."""
        ...

    def from_leader(self, value: Any) -> Any:
        """The leading process's value."""
        ...


class Saveable(Protocol):
    """What saving must know of a training state."""

    model: nn.Module
    progress: Any

    @property
    def team(self) -> Team:
        """The processes that train together."""
        ...

    def capture(self) -> dict[str, Any]:
        """Optimiser, scaler, random states and progress."""
        ...

    def restore(self, captured: dict[str, Any]) -> None:
        """The inverse of ``capture``."""
        ...


@dataclass
class CheckpointManager:
    """Writes checkpoints into ``folder`` and finds the one to resume from."""

    folder: Path
    settings: ModelSettings
    inputs: ModelInputs
    training: TrainingSettings
    identity: Mapping[str, Any]
    """What must be the same in a run that goes on from these checkpoints; JSON values."""
    mirror: Mirror | None = None
    _terminated: bool = field(default=False, init=False)
    _saved_at: float = field(default_factory=time.monotonic, init=False)

    @contextmanager
    def catching_termination(self) -> Iterator[None]:
        """Within it SIGTERM lets the batch in progress end, saves, and exits with 143."""
        if threading.current_thread() is not threading.main_thread():
            # Python delivers signals to the main thread only, and only there can they be caught.
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note_termination)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note_termination(self, *_: object) -> None:
        self._terminated = True

    def after_step(self, state: Saveable) -> None:
        """Save within an epoch if it is time, or if the machine is being taken away."""
        minutes = self.training.checkpoint_interval_minutes
        due = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        terminated, due_at_leader = state.team.any(self._terminated, due and state.team.leads)
        if terminated or due_at_leader:
            self._save(LAST, state)
            self._hand_over(state)
        if terminated:
            self._leave(state)

    def after_validation_batch(self, state: Saveable) -> None:
        """Save and leave if the machine is being taken away; all steps of the epoch are done."""
        if state.team.any(self._terminated)[0]:
            self._save(LAST, state)
            self._hand_over(state)
            self._leave(state)

    def after_epoch(self, state: Saveable, improved: bool) -> None:
        """Save what the finished epoch calls for, and prune."""
        progress = state.progress
        if improved:
            self._save(BEST, state, whole=False)
        self._save(LAST, state)
        if progress.epoch % self.training.checkpoint_interval == 0 and self.training.keep_checkpoints:
            self._save(f"epoch-{progress.epoch:04d}", state)
            if state.team.leads:
                for old in self._kept()[self.training.keep_checkpoints :]:
                    shutil.rmtree(old)
        self._hand_over(state)

    def save_for_debugging(self, state: Saveable) -> Path:
        """Save the state of a run that cannot go on; resuming never reads it."""
        self._save(DEBUG, state)
        return self.folder / DEBUG

    def resume(self, state: Saveable) -> bool:
        """Restore ``state`` from the newest whole checkpoint; False if there is none.

        Raises:
            CheckpointError: the checkpoints belong to another run.
        """
        found = self._newest() if state.team.leads else None
        weights_and_state: Any = None
        if found is not None:
            load_weights(found, state.model)
            weights_and_state = (state.model.state_dict(), load_training(found))
        # Other machines of the team do not see the leader's disk.
        weights_and_state = state.team.from_leader(weights_and_state)
        if weights_and_state is None:
            return False
        weights, captured = weights_and_state
        state.model.load_state_dict(weights)
        state.restore(captured)
        log.info("going on from epoch %d, step %d", state.progress.epoch, state.progress.step)
        return True

    def _newest(self) -> Path | None:
        for name in (BEST, LAST):
            recover(self.folder / name)
        for folder in (self.folder / LAST, *self._kept()):
            if not folder.exists():
                continue
            try:
                verify_checkpoint(folder)
            except CheckpointError as error:
                log.warning("%s; trying an older one", error)
                continue
            self._check_identity(folder)
            if changed := changed_versions(folder):
                log.warning(
                    "%s was written by other versions (%s): the run goes on, but may not be bit for bit the same",
                    folder,
                    ", ".join(changed),
                )
            return folder
        return None

    def _check_identity(self, folder: Path) -> None:
        found = saved_info(folder).get("run")
        theirs = found if isinstance(found, dict) else {}
        for name, ours in self.identity.items():
            if theirs.get(name) != ours:
                raise CheckpointError(
                    f"the checkpoint {folder} belongs to another run ({name} was {_short(theirs.get(name))}, now "
                    f"{_short(ours)}); delete {self.folder} to start anew, or choose another output or URI"
                )

    def _kept(self) -> list[Path]:
        return sorted((p for p in self.folder.glob("epoch-*") if p.is_dir()), reverse=True)

    def _save(self, name: str, state: Saveable, whole: bool = True) -> None:
        progress = state.progress
        captured = state.capture() if whole else None
        if state.team.leads:
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
                    "run": dict(self.identity),
                    "training": self.training.model_dump(mode="json"),
                },
                training=captured,
            )
        self._saved_at = time.monotonic()

    def _hand_over(self, state: Saveable) -> None:
        if self.mirror is not None and state.team.leads:
            self.mirror.submit(self.folder, MIRRORED, state.progress.epoch, state.progress.step)

    def _leave(self, state: Saveable) -> None:
        progress = state.progress
        log.warning("got SIGTERM: saved epoch %d, step %d, and leaving", progress.epoch, progress.step)
        if self.mirror is not None and state.team.leads:
            # The grace period is shorter than the patience of a run that ends in peace.
            self.mirror.close(self.training.termination_grace_seconds)
        raise SystemExit(128 + signal.SIGTERM)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
