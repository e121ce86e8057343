"""What follows the epochs: parts of the model, and the learning rate, set *before* the epoch or step it applies to.

    warmup_cosine   lr · (e + 1) / w                                       while e < w
                    min + (lr − min) · ½ (1 + cos(π (e − w) / (E − w)))     after
    type1           lr · 0.5^e
    constant        lr

e counts epochs from 0, w is warmup_epochs, E is train_epochs. With ``lr_update: step`` e also counts the
part of the epoch that is done, and the warm-up rises from step to step to the same peak.
"""

import math
from typing import Protocol, runtime_checkable

from torch import nn

from model_core.config.run import TrainingSettings


@runtime_checkable
class Annealed(Protocol):
    """A part of the model whose behavior follows the epochs."""

    def anneal(self, epoch: int) -> None:
        """Called with 0, 1, … before each epoch."""
        ...


def anneal(model: nn.Module, epoch: int) -> None:
    """Bring every part that follows the epochs to ``epoch`` (from 0)."""
    for part in model.modules():
        if isinstance(part, Annealed):
            part.anneal(epoch)


def length_in_words(settings: TrainingSettings, earlier: int, done: int) -> str:
    """What becomes of a run that goes on with another ``train_epochs``.

    Args:
        earlier: that of the settings before; at least 1.
        done: epochs finished.
    """
    now = settings.train_epochs
    changed = f"training.train_epochs was {earlier} and is {now} now"
    if done >= now:
        return f"{changed}: {done} epochs are done, so training ends here"
    follow = f"{changed}: training goes on to the end of epoch {now}"
    if settings.lradj != "warmup_cosine":
        return follow
    before = settings.model_copy(update={"train_epochs": earlier})
    last, next_ = (
        learning_rate(each, epoch, 0.0, 1.0) for each, epoch in ((before, max(done - 1, 0)), (settings, done))
    )
    return (
        f"{follow}, and the learning rate follows the cosine of {now} epochs from here on: {next_:.3g} in epoch "
        f"{done + 1}, after {last:.3g} in epoch {max(done, 1)} on that of {earlier}"
    )


def learning_rate(settings: TrainingSettings, epoch: int, done: float, after: float) -> float:
    """The rate of one optimizer step.

    Args:
        epoch: from 0.
        done: share of the epoch before this step, in [0, 1).
        after: share of the epoch after this step, in (0, 1].
    """
    if settings.lr_update == "epoch":
        # All steps have one rate, that of the epoch's start; in the warm-up that of its end, so that the first epoch
        # does not stand still at 0.
        done, after = 0.0, 1.0
    at, peak, warmup = epoch + done, settings.learning_rate, settings.warmup_epochs
    match settings.lradj:
        case "constant":
            return peak
        case "type1":
            return peak * 0.5**at
        case "warmup_cosine":
            if epoch < warmup:
                return peak * (epoch + after) / warmup
            share = (at - warmup) / (settings.train_epochs - warmup)
            return settings.min_lr + (peak - settings.min_lr) * 0.5 * (1 + math.cos(math.pi * share))
