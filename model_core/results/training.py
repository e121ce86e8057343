"""How a training run ended: ``results.json``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model_core.results.record import Count, Day, Finite, Number, Record, Result, Rows, Words
from model_core.results.shrinkage import Shrinkage

HistoryRow = dict[str, float]
"""A finished epoch, by the columns of ``history.parquet``; whole numbers stay whole."""


def epoch_in_words(epoch: int) -> str:
    """``epoch 3``; epoch 0 is told as the untrained model."""
    return f"epoch {epoch}" if epoch else "epoch 0, the untrained model"


class Checkpoint(Record):
    """Whose weights were loaded."""

    epoch: Count
    """0 is the untrained model."""
    validation_loss: Finite | None = None
    members: Count = 1
    """How many models forecast together; ``epoch`` is then the latest of theirs."""

    @property
    def in_words(self) -> str:
        """As people are told."""
        if self.members > 1 and self.epoch > 0:
            return f"{self.members} seeds, up to epoch {self.epoch}"
        return epoch_in_words(self.epoch)


class Parameters(Record):
    """How many numbers a model has learned."""

    total: Count
    without_gradient: Count
    """Those that training leaves as they are."""
    by_part: dict[str, Count]
    """By part of the model."""


class MirrorOutcome(Record):
    """What reached the store that keeps checkpoints."""

    uri: Words
    newest_is_complete: bool
    """Whether the newest checkpoint is there, whole."""
    checkpoints: Count
    """That reached the store."""
    failed_attempts: Count
    """To reach it."""


class MemberResults(Record):
    """How one of several models that forecast together was trained."""

    seed: int
    best_epoch: Count
    """0 is the untrained model."""
    best_validation_loss: Finite
    """Of this member alone."""
    best_validation_loss_read_back: Finite | None
    untrained_validation_loss: Finite | None
    lost_best_epoch: Count | None
    last_epoch: Count
    stopped_because: Words


class TrainResults(Result):
    """``results.json``: how a training run ended, and with what."""

    file: ClassVar[str] = "results.json"
    step: ClassVar[str] = "train"

    best_epoch: Count
    """Epoch with the lowest validation loss; ``best/`` holds its weights. Epochs count from 1; 0 is the untrained
    model."""
    best_validation_loss: Finite
    """Mean over all validation windows."""
    best_validation_loss_read_back: Finite | None = None
    """The same, computed once more from the checkpoint as its readers load it."""
    untrained_validation_loss: Finite | None = None
    """Of epoch 0; null where it was not finite, and in files from before it was a candidate."""
    lost_best_epoch: Count | None = None
    """The epoch with the lowest loss, if its weights were lost to damage."""
    last_epoch: Count
    """Epochs finished when the run ended."""
    epochs_run: Count
    """Epochs of all attempts together."""
    members: Rows[MemberResults] = ()
    """With ``training.seeds``, in their order; then the epochs above are the latest of theirs, and the losses those of
    all members together."""
    shrinkage: Shrinkage | None = None
    """How much of what was learned forecasts keep; null if all of it."""
    stopped_because: Words
    """In words."""
    resumed_at: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    """Epochs finished and steps done when this attempt went on from a checkpoint."""
    seconds: Number
    """Of this attempt."""
    seconds_of_all_attempts: Number | None = None
    """Spent in epochs by all attempts."""
    device: Words
    processes: Count = 1
    """How many trained together."""
    precision: Words
    """``fp32``, ``bf16`` or ``fp16``."""
    seed: int | None = None
    d_model_requested: Count
    """As the settings ask for."""
    d_model_used: Count
    """The width that all heads and bodies divide."""
    parameters: Parameters
    gradient_checkpointing: bool
    """Whether activations were recomputed to save memory."""
    peak_memory_mb: Number
    """MiB: on CUDA the largest allocation, elsewhere the largest resident size of the process."""
    memory_growth_mb_per_epoch: Finite | None = None
    """MiB; null below five epochs."""
    train_windows: Count
    validation_windows: Count
    mirror: MirrorOutcome | None = None
    """Null if no store keeps checkpoints."""

    @property
    def best_in_words(self) -> str:
        """As people are told."""
        if self.members and self.best_epoch > 0:
            return f"{len(self.members)} seeds, up to epoch {self.best_epoch}"
        return epoch_in_words(self.best_epoch)


FiniteOrWord = Finite | Literal["nan", "inf", "-inf"]
"""A number, or its name where JSON has none: which of the three it was may say why."""


class NonFiniteStep(Result):
    """``nonfinite.json``: the step that was not taken last, for whoever looks for the reason."""

    file: ClassVar[str] = "nonfinite.json"
    step: ClassVar[str] = "train"

    where: Words
    """Epoch and step, in words."""
    windows: Rows[Count]
    """Numbers of the training windows in the batch."""
    anchor_dates: Rows[Day]
    """Their last known days."""
    losses: dict[str, FiniteOrWord]
    """By part of the loss."""
    gradient_norm: FiniteOrWord
    """Before clipping."""
    gradient_norms_by_part: dict[str, FiniteOrWord]
    """By part of the model."""
