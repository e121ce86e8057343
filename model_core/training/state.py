"""Where a training run stands, so that another process can go on from exactly there."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import nn

from model_core.training.seeds import random_states, restore_random_states


@dataclass
class Progress:
    """Position and scores of a run; plain values only."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Optimiser steps done in the epoch that is under way."""
    best_epoch: int = 0
    best_loss: float = float("inf")
    epochs_without_gain: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    """Sums over the windows of the epoch under way, by part of the loss."""
    windows: int = 0
    """Windows behind those sums."""
    gradient_norm_sum: float = 0.0
    seconds: float = 0.0
    """Time spent in the epoch under way."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row per finished epoch."""

    def start_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.step, self.windows, self.gradient_norm_sum, self.seconds = 0, 0, 0.0, 0.0
        self.loss_sums = {}


@dataclass
class TrainState:
    """Everything that changes while a model trains."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress

    def capture(self) -> dict[str, Any]:
        """What ``restore`` needs beside the model's weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": random_states(),
            "progress": asdict(self.progress),
        }

    def restore(self, captured: dict[str, Any]) -> Self:
        """Go back to where ``capture`` was called; the weights are loaded already."""
        self.optimizer.load_state_dict(captured["optimizer"])
        self.scaler.load_state_dict(captured["scaler"])
        self.progress = Progress(**captured["progress"])
        restore_random_states(captured["random"])
        return self
