"""Which checkpoints a run keeps, when it saves them, and from which one it goes on."""

import logging
import math
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from model_core.checkpoints import local
from model_core.checkpoints.files import (
    changed_versions,
    load_training,
    load_weights,
    save_checkpoint,
    saved_info,
    verify_checkpoint,
)
from model_core.checkpoints.local import BEST, DEBUG, LAST
from model_core.checkpoints.mirror import Mirror
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.distributed import ProcessGroup
from model_core.errors import CheckpointError, StoreError
from model_core.results.training import HistoryRow
from model_core.signals import on_signal

log = logging.getLogger("pgat.checkpoints")
MIRRORED = (BEST, LAST, "steps.jsonl", "memory_diagnostics.log", "tensorboard")


class Saveable(Protocol):
    """What saving must know of a training state."""

    progress: Any

    @property
    def scored(self) -> nn.Module:
        """The module that is validated and saved."""
        ...

    @property
    def group(self) -> ProcessGroup:
        """The processes that train together."""
        ...

    def capture(self) -> dict[str, Any]:
        """Optimizer, scaler, random states and progress, and the weights in training if others are scored."""
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
    earlier_epochs: int | None = field(default=None, init=False)
    """``train_epochs`` of the checkpoint that the run went on from; only the main process knows it."""
    _terminated: bool = field(default=False, init=False)
    _saved_at: float = field(default_factory=time.monotonic, init=False)

    @contextmanager
    def catching_termination(self) -> Iterator[None]:
        """Within it SIGTERM lets the batch in progress end, saves, and exits with 143."""
        with on_signal(self._note_termination, signal.SIGTERM):
            yield

    def _note_termination(self, number: int) -> None:
        self._terminated = True
        if self.mirror is not None:
            self.mirror.ending.terminated()

    def after_step(self, state: Saveable) -> None:
        """Save within an epoch if it is time, or if the machine is being taken away."""
        minutes = self.training.checkpoint_interval_minutes
        due = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        terminated, due_at_main = state.group.any(self._terminated, due and state.group.is_main)
        if terminated or due_at_main:
            self._save(LAST, state)
            self._hand_over(state)
        if terminated:
            self._leave(state)

    def after_validation_batch(self, state: Saveable) -> None:
        """Save and leave if the machine is being taken away; all steps of the epoch are done."""
        if state.group.any(self._terminated)[0]:
            self._save(LAST, state)
            self._hand_over(state)
            self._leave(state)

    def after_scoring(self, state: Saveable, improved: bool) -> None:
        """Save the untrained model if it is the best one so far."""
        if improved:
            self._save(BEST, state, whole=False)

    def after_epoch(self, state: Saveable, improved: bool) -> None:
        """Save what the finished epoch calls for, and prune."""
        progress = state.progress
        if improved:
            self._save(BEST, state, whole=False)
        self._save(LAST, state)
        if progress.epoch % self.training.checkpoint_interval == 0 and self.training.keep_checkpoints:
            self._save(f"epoch-{progress.epoch:04d}", state)
            if state.group.is_main:
                for old in local.kept(self.folder)[self.training.keep_checkpoints :]:
                    shutil.rmtree(old)
        self._hand_over(state)

    def save_for_debugging(self, state: Saveable) -> Path:
        """Save the state of a run that cannot go on; resuming never reads it."""
        self._save(DEBUG, state)
        return self.folder / DEBUG

    def finish(self, state: Saveable) -> None:
        """Make sure when training is over that ``best`` and ``last`` are whole, whatever happened to them."""
        if state.group.is_main:
            try:
                verify_checkpoint(self.folder / LAST)
            except CheckpointError as error:
                log.warning("%s; writing it again", str(error).partition("; ")[0])
                self._save(LAST, state)
        self._settle_best(state, at_the_end=True)

    def resume(self, state: Saveable) -> bool:
        """Restore ``state`` from the newest intact checkpoint; False if there is none.

        Raises:
            CheckpointError: the checkpoints belong to another run, or all are damaged.
            StoreError: ``best`` is damaged, and the mirror that may have a copy cannot be reached.
        """
        newest = self._load_newest(state.scored) if state.group.is_main else None
        weights_and_state: Any = None if newest is None else (state.scored.state_dict(), newest[1])
        # Other machines of the group do not see the main process's disk.
        weights_and_state = state.group.broadcast(weights_and_state)
        if weights_and_state is None:
            return False
        weights, captured = weights_and_state
        state.scored.load_state_dict(weights)
        state.restore(captured)
        log.info("going on from epoch %d, step %d", state.progress.epoch, state.progress.step)
        self._settle_best(state, at_the_end=False)
        if newest is not None:
            epochs = saved_info(newest[0]).training.get("train_epochs")
            self.earlier_epochs = epochs if isinstance(epochs, int) else None
        if newest is not None and newest[0].name == LAST:
            # A mirror that failed last time, or lost a file meanwhile, gets it now.
            self._hand_over(state)
        return True

    def _settle_best(self, state: Saveable, at_the_end: bool) -> None:
        """Let all processes know the best checkpoint that there is; see ``local.whole_best``."""
        progress = state.progress
        best = (progress.best_epoch, progress.best_loss)
        if state.group.is_main:
            wait = self.mirror.ending.waiting() if at_the_end and self.mirror is not None else nullcontext()
            try:
                with wait:
                    best = local.whole_best(self.folder, progress, self.mirror)
            except StoreError as error:
                if not at_the_end:
                    raise
                log.warning("the mirror was not searched for the best checkpoint: %s", error)
                best = local.whole_best(self.folder, progress, None)
        progress.best_epoch, progress.best_loss = state.group.broadcast(best)

    def _load_newest(self, model: nn.Module) -> tuple[Path, dict[str, Any]] | None:
        """Load the newest whole checkpoint into ``model``: its folder, and the state of its run."""
        local.tidy_up(self.folder)
        faults: list[str] = []
        for folder in local.states(self.folder):
            try:
                verify_checkpoint(folder)
                foreign = self._foreign(folder)
                if foreign is None:
                    load_weights(folder, model)
                    captured = load_training(folder)
                    self._say_versions(folder)
            except CheckpointError as error:
                faults.append(str(error).partition("; ")[0])
                log.warning("%s; trying an older one", faults[-1])
                continue
            if foreign is not None:
                raise CheckpointError(foreign, path=folder)
            return folder, captured
        if faults:
            raise CheckpointError(
                f"none of the {len(faults)} checkpoints in {self.folder} can be used ({faults[0]}); "
                f"move this folder away to train from the start{self._other_remedy()}",
                path=self.folder,
            )
        return None

    def _other_remedy(self) -> str:
        if self.mirror is None:
            return ", or add the --checkpoint-uri that has copies of them, if there is one"
        return f"; {self.mirror.uri} has no intact one either"

    def _foreign(self, folder: Path) -> str | None:
        """Why a run may not go on from a checkpoint, if it belongs to another one."""
        theirs = saved_info(folder).run
        elsewhere = "choose another output" if self.mirror is None else "choose another --checkpoint-uri"
        joint = "or" if self.mirror is None else "and"  # a mirror would only bring them back
        for name, ours in self.identity.items():
            if theirs.get(name) != ours:
                return (
                    f"the checkpoint {folder} belongs to another run ({name} was {_short(theirs.get(name))}, now "
                    f"{_short(ours)}); to start over, delete {self.folder} {joint} {elsewhere}"
                )
        return None

    def _say_versions(self, folder: Path) -> None:
        if changed := changed_versions(folder):
            log.warning(
                "%s was written by other versions (%s): the run goes on, but may not be bit for bit the same",
                folder,
                ", ".join(changed),
            )

    def _save(self, name: str, state: Saveable, whole: bool = True) -> None:
        progress = state.progress
        captured = state.capture() if whole else None
        if state.group.is_main:
            save_checkpoint(
                self.folder / name,
                state.scored,
                settings=self.settings,
                inputs=self.inputs,
                info={
                    "epoch": progress.epoch,
                    "step": progress.step,
                    "validation_loss": _last_loss(progress),
                    "best_epoch": progress.best_epoch,
                    "run": dict(self.identity),
                    "training": self.training.model_dump(mode="json"),
                },
                training=captured,
            )
        self._saved_at = time.monotonic()

    def _hand_over(self, state: Saveable) -> None:
        if self.mirror is not None and state.group.is_main:
            self.mirror.submit(self.folder, MIRRORED, state.progress.epoch, state.progress.step)

    def _leave(self, state: Saveable) -> None:
        progress = state.progress
        log.warning("got SIGTERM: saved epoch %d, step %d, and leaving", progress.epoch, progress.step)
        if self.mirror is not None and state.group.is_main:
            # The signal may have come to another process of the group.
            self.mirror.ending.terminated()
            self.mirror.close()
        raise SystemExit(128 + signal.SIGTERM)


def _last_loss(progress: Any) -> float | None:
    """Validation loss of the newest epoch that has one; JSON has no word for one that is not finite."""
    history: list[HistoryRow] = progress.history
    loss = history[-1]["validation_loss"] if history else progress.untrained_loss
    return loss if loss is not None and math.isfinite(loss) else None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
