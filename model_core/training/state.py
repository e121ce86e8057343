"""Where a training run stands, so that another process can go on from exactly there."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from model_core.config.run import TrainingSettings
from model_core.data.windows import Window
from model_core.distributed import ProcessGroup
from model_core.errors import CheckpointError
from model_core.nn.bundles import Forecast
from model_core.results.training import HistoryRow
from model_core.training.averaging import WeightAverage
from model_core.training.precision import Precision
from model_core.training.seeds import random_states, restore_random_states


@dataclass
class Progress:
    """Position and scores of a run; plain values only."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Optimizer steps done in the epoch that is under way."""
    untrained_loss: float | None = None
    """Validation loss before the first step; None until that is known."""
    best_epoch: int = 0
    """0 is the untrained model."""
    best_loss: float = math.inf
    """Infinite until there is a best epoch."""
    epochs_without_gain: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    """Sums over the windows of the epoch under way, by part of the loss."""
    windows: int = 0
    """Windows behind those sums."""
    gradient_norm_sum: float = 0.0
    skipped_steps: int = 0
    """Steps of the epoch under way whose loss or gradient was not finite; the weights did not move."""
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    """Time spent in the epoch under way."""
    micro_batches: int = 1
    """Parts that each batch is cut into; 2 after the memory was not enough for a whole one."""
    history: list[HistoryRow] = field(default_factory=list)
    """One row per finished epoch."""

    @property
    def awaits_first_score(self) -> bool:
        """Whether nothing happened yet, so that the model is the untrained one, and its score is not known."""
        return self.untrained_loss is None and self.epoch == self.step == 0

    @property
    def has_best(self) -> bool:
        """Whether any epoch can be the best."""
        return math.isfinite(self.best_loss)

    def scored(self, loss: float) -> bool:
        """Note the validation loss of the epoch that was finished last; whether it is the lowest so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.epochs_without_gain = loss, self.epoch, 0
            return True
        if self.epoch > 0:
            self.epochs_without_gain += 1
        return False

    def start_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.step, self.windows, self.skipped_steps = 0, 0, 0
        self.gradient_norm_sum, self.seconds = 0.0, 0.0
        self.loss_sums = {}


@dataclass(frozen=True)
class CompiledReplica:
    """A model through ``torch.compile``, for batches of one size.

    Each other size would be compiled again, for minutes: the short batch that ends an epoch, and validation, call the
    model as it is.
    """

    forward: Callable[[Window], Forecast]
    batch_size: int

    @classmethod
    def of(cls, replica: nn.Module, settings: TrainingSettings, group: ProcessGroup) -> Self | None:
        """``replica`` compiled as the settings say, or nothing."""
        if settings.compile == "off":
            return None
        compiled = torch.compile(replica, mode=settings.compile, dynamic=False)
        return cls(compiled, settings.batch_size // group.size)


@dataclass
class TrainState:
    """Everything that changes while a model trains."""

    model: nn.Module
    """The plain module that is trained."""
    replica: nn.Module
    """The module that a training step calls: the same one, or its distributed wrapper."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    group: ProcessGroup
    compiled: "CompiledReplica | None" = None
    """``replica`` through ``torch.compile``, for full batches."""
    average: WeightAverage | None = None
    """Of the weights over the steps, if the settings ask for one."""

    @classmethod
    def fresh(
        cls, model: nn.Module, settings: TrainingSettings, precision: Precision, group: ProcessGroup
    ) -> Self:
        """Adam with weight decay added to the gradient, as published."""
        optimizer = torch.optim.Adam(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        average = None if settings.ema_decay is None else WeightAverage(model, settings.ema_decay)
        replica = group.replica(model)
        compiled = CompiledReplica.of(replica, settings, group)
        scaler = precision.gradient_scaler()
        return cls(model, replica, optimizer, scaler, Progress(), group, compiled, average)

    @property
    def scored(self) -> nn.Module:
        """The module that is validated and saved: the average of the weights, or the model itself."""
        return self.model if self.average is None else self.average.module

    def weights_moved(self) -> None:
        """To be called after an optimizer step that was taken."""
        if self.average is not None:
            self.average.follow(self.model)

    def forward(self, batch: Window) -> Forecast:
        """The forecast that a training step learns from."""
        if self.compiled is not None and len(batch) == self.compiled.batch_size:
            return self.compiled.forward(batch)
        forecast: Forecast = self.replica(batch)
        return forecast

    def apply_gradients(self, finite: Bool[Tensor, ""]) -> None:
        """Move the weights, or leave them and the optimizer's moments alone; the device decides which."""
        # How torch's gradient scaler tells a fused optimizer the same.
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        self.optimizer.step()

    def capture(self) -> dict[str, Any]:
        """What ``restore`` needs beside the scored weights; called by all processes at the same step."""
        beside_average: dict[str, Any] = {}
        if self.average is not None:
            weights = {name: tensor.detach().cpu() for name, tensor in self.model.state_dict().items()}
            beside_average = {"weights": weights, "averaged_steps": self.average.steps}
        return beside_average | {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": self.group.all_gather(random_states()),
            "progress": asdict(self.progress),
        }

    def restore(self, captured: dict[str, Any]) -> None:
        """Go back to where ``capture`` was called; the scored weights are loaded already.

        Raises:
            CheckpointError: another version of this code captured it.
        """
        try:
            if self.average is not None:
                self.model.load_state_dict(captured["weights"])
                self.average.steps = captured["averaged_steps"]
            self.optimizer.load_state_dict(captured["optimizer"])
            for group in self.optimizer.param_groups:
                group["fused"] = True  # an earlier version's checkpoint says otherwise on a CPU
            self.scaler.load_state_dict(captured["scaler"])
            self.progress = Progress(**captured["progress"])
            # A group that grew has members without a state of their own; they keep their fresh seed.
            if self.group.rank < len(captured["random"]):
                restore_random_states(captured["random"][self.group.rank])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                "the checkpoint's state of the run was written by another version of this code "
                f"({type(error).__name__}: {error}); go on with that version, or choose another output to start over"
            ) from error
