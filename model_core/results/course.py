"""How a training went, epoch by epoch: for one model, or for each of several that forecast together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model_core.artifacts import intact_file
from model_core.results.record import read_result
from model_core.results.tables import HISTORY, read_table
from model_core.results.training import TrainResults

DRAWN = ("epoch", "train_loss", "validation_loss", "learning_rate")
"""Columns of the history that must be there, without gaps, and of numbers that can be drawn."""


@dataclass(frozen=True)
class Course:
    """How the training of one model went."""

    epochs: pd.DataFrame
    """Its rows of ``history.parquet``, from epoch 1."""
    best_epoch: int
    """0 is the untrained model."""
    untrained_validation_loss: float | None
    """None if it was not measured."""

    @property
    def validated(self) -> Mapping[int, float]:
        """Epoch → validation loss; 0 is the untrained model."""
        rows = dict(zip(self.epochs["epoch"], self.epochs["validation_loss"], strict=True))
        untrained = self.untrained_validation_loss
        return rows if untrained is None else {0: untrained} | rows


def courses_of(history: pd.DataFrame, training: TrainResults) -> list[Course]:
    """The course of each model, in the order of their seeds."""
    # The rows of the members follow one another, and each begins with epoch 1.
    rows = [run for _, run in history.groupby((history["epoch"].diff() <= 0).cumsum())]
    of_members = [(each.best_epoch, each.untrained_validation_loss) for each in training.members]
    known = of_members or [(training.best_epoch, training.untrained_validation_loss)]
    return [Course(run, *told) for run, told in zip(rows, known, strict=False)]


def read_courses(model: Path) -> list[Course]:
    """The course of each model in the folder of the train step.

    Raises:
        ArtifactError: a file is missing or damaged, or holds what cannot be drawn.
    """
    for kept in (HISTORY, TrainResults):
        intact_file(model, kept.file, producer=kept.step)
    return courses_of(read_table(HISTORY, model, DRAWN), read_result(TrainResults, model))
