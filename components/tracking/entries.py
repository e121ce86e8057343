"""What a tracking server is told of a run: parameters, metrics and tags, within MLflow's limits.

Nothing here knows MLflow: these are plain values, which ``server.py`` sends.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from model_core.config.base import dotted
from model_core.errors import shown
from model_core.results.course import Course
from model_core.results.findings import Findings
from model_core.results.scores import MODEL, Scores
from model_core.results.skill import SkillInterval

PARAMETER_CHARACTERS = 6_000
"""Longest value of a parameter; source: ``mlflow.utils.validation``, also of the next two."""
TAG_CHARACTERS = 8_000
KEY_CHARACTERS = 250
WATCHED = "validation_loss"
"""The metric whose steps say which epochs of a training a server has."""
_CURVES = ("train_loss", WATCHED, "learning_rate", "gradient_norm", "peak_memory_mb")
"""Columns of ``history.parquet`` that are sent, as metrics of the same name."""


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    value: float
    step: int = 0
    """Epoch; 0 for what has none."""
    at_ms: int = 0
    """Milliseconds since 1970, in UTC."""


def parameters(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings by dotted name. MLflow refuses what is too long: such a value is cut, such a name is left out."""
    return {
        key: _fitting(value if isinstance(value, str) else json.dumps(value), PARAMETER_CHARACTERS)
        for key, value in dotted(settings).items()
        if len(key) <= KEY_CHARACTERS
    }


def tags(**values: object) -> dict[str, str]:
    """Tags of this project, ``pgat.<name>``; a value that is empty or None gives none."""
    return {
        f"pgat.{name}": _fitting(shown(str(value)), TAG_CHARACTERS)
        for name, value in values.items()
        if value not in (None, "")
    }


def points(values: Mapping[str, float | None], at_ms: int) -> list[Point]:
    """Metrics without an epoch; one whose value is missing or not finite is left out."""
    return [Point(name, value, 0, at_ms) for name, value in values.items() if _is_finite(value)]


def score_metrics(scores: Scores) -> dict[str, float | None]:
    """What a forecast is worth: errors in log price and in price, and skills with the ends of their intervals."""
    log, price = (
        scale.overall
        for scale in (scores.forecasts[MODEL].metrics.log, scores.forecasts[MODEL].metrics.price)
    )
    distribution = scores.calibration.headline
    return {
        "mae_log": log.mae,
        "rmse_log": log.rmse,
        "mae_price": price.mae,
        "rmse_price": price.rmse,
        **_interval("skill", scores.headline),
        **({} if distribution is None else _interval("crps_skill", distribution)),
        "test_windows": scores.windows,
    }


def finding_metrics(findings: Findings) -> dict[str, float | None]:
    """In how many perturbations the model is fragile, and how many invariants did not hold."""
    return {
        "fragile": sum(row.fragile is True for row in findings.perturbations),
        "perturbations": len(findings.perturbations),
        "invariants_failed": sum(not invariant.passed for invariant in findings.invariants),
    }


def curve_points(courses: Sequence[Course], begun_ms: int) -> Iterator[Point]:
    """Metrics by epoch; each of several models has its own, such as ``member-1/validation_loss``.

    Args:
        begun_ms: when training began, in milliseconds since 1970; the seconds of the epochs give their times, so that
            the same history gives the same points.
    """
    for number, course in enumerate(courses, 1):
        prefix = "" if len(courses) == 1 else f"member-{number}/"
        if _is_finite(course.untrained_validation_loss):
            yield Point(f"{prefix}{WATCHED}", course.untrained_validation_loss, 0, begun_ms)
        at = float(begun_ms)
        for row in course.epochs.to_dict("records"):
            at += 1000 * row.get("seconds", 0.0)
            yield from epoch_points({str(name): value for name, value in row.items()}, int(at), prefix)


def epoch_points(row: Mapping[str, float], at_ms: int, prefix: str = "") -> Iterator[Point]:
    """The metrics of one epoch, a row of ``history.parquet``."""
    for name in _CURVES:
        if _is_finite(value := row.get(name)):
            yield Point(f"{prefix}{name}", float(value), int(row["epoch"]), at_ms)


def _interval(name: str, row: SkillInterval) -> dict[str, float | None]:
    return {name: row.skill, f"{name}_low": row.low, f"{name}_high": row.high}


def _fitting(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
