"""The figures of a site's pages: how trainings went, and forecasts over one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model_core.artifacts import intact_file
from model_core.results.course import Course, read_courses
from model_core.results.run import RunRecord
from model_core.results.tables import PREDICTIONS, price_column, read_table
from pipelines.review.comparison import Compared
from pipelines.site.drawing import Curve, curves, key


@dataclass(frozen=True)
class Figure:
    """A chart with its title and its legend."""

    title: str
    key: str
    """HTML of the legend."""
    drawing: str
    """SVG of the chart."""


def run_figures(runs: Path, record: RunRecord) -> list[Figure]:
    """Training and validation loss by epoch, a line each model; none if the run left no model.

    Raises:
        ArtifactError: the model's folder is damaged.
    """
    drawn = []
    for course in _courses(runs, record):
        drawn += [_train_loss(course, "training", 0), _validation_loss(course, "validation", 1)]
    title = "Loss by epoch; epoch 0 is the untrained model, the ring the best epoch"
    return [_figure(title, drawn)] if drawn else []


def compare_figures(runs: Path, result: Compared) -> list[Figure]:
    """All runs over one another: their losses by epoch, and their forecasts of Close at the end of the horizon.

    Raises:
        ArtifactError: an artifact is damaged.
    """
    validation, training = [], []
    for number, record in enumerate(result.runs):
        for course in _courses(runs, record):
            validation.append(_validation_loss(course, record.name, number))
            training.append(_train_loss(course, record.name, number))
    figures = []
    if validation:
        title = "Validation loss by epoch; epoch 0 is the untrained model, the ring the best epoch"
        figures.append(_figure(title, validation))
        figures.append(_figure("Training loss by epoch", training))
    return figures + _forecasts(runs, result)


def _courses(runs: Path, record: RunRecord) -> list[Course]:
    model = record.artifact(runs, "model")
    return [] if model is None or not model.is_dir() else read_courses(model)


def _validation_loss(course: Course, name: str, number: int) -> Curve:
    rows = course.validated
    return Curve(name, tuple(rows), tuple(rows.values()), number, ring=course.best_epoch)


def _train_loss(course: Course, name: str, number: int) -> Curve:
    return Curve(name, tuple(course.epochs["epoch"]), tuple(course.epochs["train_loss"]), number)


def _figure(title: str, drawn: Sequence[Curve]) -> Figure:
    return Figure(title, key(drawn), curves(drawn, title, "epoch"))


def _forecasts(runs: Path, result: Compared) -> list[Figure]:
    drawn, dates = [], []
    for number, record in enumerate(result.runs):
        evaluation = record.artifact(runs, "evaluation")
        if evaluation is not None and evaluation.is_dir():
            close = _close_at_horizon(evaluation)
            days = tuple(close["date"].map(pd.Timestamp.toordinal))
            drawn.append(Curve(record.name, days, tuple(close["moved"]), number))
            dates += [close["date"].min(), close["date"].max()]
    if not drawn:
        return []
    labels = (str(min(dates).date()), str(max(dates).date()))
    title = "Forecast move of Close over the whole horizon, in log price, by forecast date"
    return [Figure(title, key(drawn), curves(drawn, title, "date", labels))]


def _close_at_horizon(evaluation: Path) -> pd.DataFrame:
    intact_file(evaluation, PREDICTIONS.file, producer=PREDICTIONS.step)
    name = price_column("Close", "forecast")
    frame = read_table(PREDICTIONS, evaluation, ("date", "step", "anchor", name))
    last = frame[frame["step"] == frame["step"].max()]
    moved = pd.DataFrame({"date": pd.to_datetime(last["date"]), "moved": last[name] - last["anchor"]})
    return moved.sort_values("date")
