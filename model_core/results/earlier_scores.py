"""``scores.json`` as earlier versions had it.

Versions 1 and 2 had skills in a list of rows, and relative errors of log prices; up to version 3 the EWMA random walk
was the only distribution beside the model's.
"""

from collections import defaultdict
from collections.abc import Mapping

from model_core.results.record import JsonObject

_LOSSES = {"mse": "squared_log_error", "mae": "absolute_log_error"}
_RELATIVE = {"mape": None, "mspe": None, "smape": None}
_ROW_KEYS = ("baseline", "metric", "scale", "target")


def upgraded_scores(content: JsonObject, version: int) -> JsonObject:
    """The fields of this version except those that have a default; they are still unchecked.

    Raises:
        LookupError, TypeError, AttributeError: ``content`` is of no earlier version either.
    """
    if version in (4, 5, 6):
        return content
    if version < 3:
        content = _named_skills(content, version)
    return content | {"calibration": _with_baselines(_object(content["calibration"]))}


def _with_baselines(calibration: JsonObject) -> JsonObject:
    """The EWMA random walk as one baseline of several."""
    compared, name = calibration["skill"], "ewma_random_walk"
    return {
        "model": calibration["model"],
        "baselines": {name: {"title": "EWMA random walk", "targets": calibration[name]}},
        "best_baseline": name,
        "left_out": {},
        "skill": None if compared is None else {name: {"Close": compared}},
    }


def _named_skills(content: JsonObject, version: int) -> JsonObject:
    """The fields of version 3 from those of versions 1 and 2."""
    if version < 2:
        content |= {"confidence_set_reason": None}
    skill: dict[str, dict[str, JsonObject]] = defaultdict(lambda: {loss: {} for loss in _LOSSES.values()})
    for row in map(_object, _list(content["skill"])):
        if row["scale"] == "log":
            by_target = skill[str(row["baseline"])][_LOSSES[str(row["metric"])]]
            by_target[str(row["target"])] = _comparison(row)
    calibration, verdict = _object(content["calibration"]), _object(content["verdict"])
    compared = calibration.get("skill")
    calibration |= {"skill": None if compared is None else _comparison(_object(compared))}
    forecasts = {name: _forecast(_object(score)) for name, score in _object(content["forecasts"]).items()}
    return content | {
        "skill": dict(skill),
        "calibration": calibration,
        "verdict": {"reason": None} | verdict,
        "forecasts": forecasts,
    }


def _comparison(row: Mapping[str, object]) -> JsonObject:
    """Version 1 gave no reasons, and called the outcome a verdict as version 2 did."""
    rest = {name: value for name, value in row.items() if name not in (*_ROW_KEYS, "verdict")}
    return {"reason": None, "outcome": row["verdict"]} | rest


def _forecast(score: JsonObject) -> JsonObject:
    """Without the relative errors of log prices."""
    metrics = _object(score["metrics"])
    log = _object(metrics["log"])
    by_target = {name: _object(errors) | _RELATIVE for name, errors in _object(log["per_target"]).items()}
    plain = {
        "overall": _object(log["overall"]) | _RELATIVE,
        "per_target": by_target,
        "per_step": [_object(errors) | _RELATIVE for errors in _list(log["per_step"])],
    }
    return score | {"metrics": metrics | {"log": plain}}


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("an object is missing")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value
