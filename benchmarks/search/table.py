"""The ranking of candidates: rounds that all of them went through, mean and standard error over origins and markets."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.search.grid import CENTRE
from model_core.errors import ArtifactError

Run = dict[str, Any]
SELECTABLE = ("loss", "nll", "crps", "crps_close", "mse")
"""Validation scores that may choose the epoch."""


class Cell(NamedTuple):
    """One origin of one market; the seeds of a cell are averaged, since they share its days."""

    market: str
    origin: int


def ranking(runs: Sequence[Run], select: str = "loss", patience: int | None = None) -> list[dict[str, Any]]:
    """One row a candidate, the best first: skill in CRPS of Close on the held-out spans, over the untrained centre.

    All skills are in percent. A standard error is that of the mean over the cells; the markets of an origin share its
    years, so it is somewhat too small.

    Args:
        runs: records of ``runs.jsonl``.
        select: the validation score whose lowest epoch is taken.
        patience: stop every run after so many epochs without gain, if it went on for longer.

    Raises:
        ArtifactError: no round has a run of every candidate.
    """
    by_round: dict[tuple[Cell, int], dict[str, Run]] = defaultdict(dict)
    for run in runs:
        by_round[Cell(run["market"], run["origin"]), run["seed"]][run["candidate"]] = run
    names = list(dict.fromkeys(run["candidate"] for run in runs))
    complete = {place: found for place, found in by_round.items() if len(found) == len(names)}
    if not complete or CENTRE not in names:
        raise ArtifactError(
            f"no market, origin and seed has been tried by all {len(names)} candidates and the centre; go on with: "
            "settings_search.py run"
        )
    rows = [_row(name, complete, select, patience) for name in names]
    rows.sort(key=lambda row: -math.inf if row["skill"] is None else row["skill"], reverse=True)
    return [{"rank": place, **row} for place, row in enumerate(rows, start=1)]


def agreements(runs: Sequence[Run], select: str = "loss") -> list[dict[str, Any]]:
    """One row a cell: is a path of Close that gains on validation one that gains on the held-out span?

    Over all runs of the cell whose chosen epoch is not the untrained model: the gain over the structured walk in
    squared error of Close, in percent, on both spans.

    Args:
        select: the validation score whose lowest epoch is taken.
    """
    gains: dict[Cell, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        epoch = chosen_epoch(run, select)
        if epoch:
            gain = [
                100 * (1 - _score(run, epoch, span, "mse_close") / run["bars"][span]["walk_mse_close"])
                for span in ("validation", "held_out")
            ]
            gains[Cell(run["market"], run["origin"])].append((gain[0], gain[1]))
    return [
        {
            "market": cell.market,
            "origin": cell.origin,
            "runs": len(pairs),
            "correlation": _correlation(pairs),
            "same_sign": sum((told > 0) == (came > 0) for told, came in pairs),
            "kept_if_it_gains": _mean([came if told > 0 else 0.0 for told, came in pairs]),
            "always_kept": _mean([came for _, came in pairs]),
        }
        for cell, pairs in sorted(gains.items())
    ]


def chosen_epoch(run: Run, select: str, patience: int | None = None) -> int:
    """The epoch with the lowest validation score; 0, the untrained model, if no other has a lower one."""
    best, lowest = 0, _score(run, 0, "validation", select)
    for epoch in range(1, len(run["epochs"])):
        if patience is not None and epoch - best > patience:
            break
        score = _score(run, epoch, "validation", select)
        if score < lowest:
            best, lowest = epoch, score
    return best


def _score(run: Run, epoch: int, span: str, name: str) -> float:
    value = run["epochs"][epoch][span][name]
    return math.inf if value is None else float(value)


def _row(
    name: str, rounds: dict[tuple[Cell, int], dict[str, Run]], select: str, patience: int | None
) -> dict[str, Any]:
    epochs = {place: chosen_epoch(found[name], select, patience) for place, found in rounds.items()}

    def skill(own: Callable[[Run, int], float], other: Callable[[dict[str, Run]], float]) -> list[float]:
        """By cell."""
        cells: dict[Cell, list[float]] = defaultdict(list)
        for (cell, seed), found in rounds.items():
            ratio = own(found[name], epochs[cell, seed]) / other(found)
            cells[cell].append(100 * (1 - ratio))
        return [statistics.fmean(values) for values in cells.values()]

    def crps(run: Run, epoch: int, span: str = "held_out") -> float:
        return _score(run, epoch, span, "crps_close")

    def bar(name: str) -> Callable[[dict[str, Run]], float]:
        return lambda found: float(found[CENTRE]["bars"]["held_out"][name])

    def centre_chosen(found: dict[str, Run]) -> float:
        centre = found[CENTRE]
        return crps(centre, chosen_epoch(centre, select, patience))

    runs = [found[name] for found in rounds.values()]
    over_base = skill(crps, lambda found: crps(found[CENTRE], 0))
    over_own = skill(crps, lambda found: crps(found[name], 0))
    validation = skill(
        lambda run, epoch: crps(run, epoch, "validation"), lambda found: crps(found[CENTRE], 0, "validation")
    )
    last = skill(lambda run, _: crps(run, len(run["epochs"]) - 1), lambda found: crps(found[CENTRE], 0))
    point = skill(lambda run, epoch: _score(run, epoch, "held_out", "mse"), bar("walk_mse"))
    return {
        "candidate": name,
        "changes": runs[0]["changes"],
        "skill": _mean(over_base),
        "skill_error": _error(over_base),
        "skill_by_cell": [_rounded(value) for value in over_base],
        "over_own_untrained": _mean(over_own),
        "over_centre": _mean(skill(crps, centre_chosen)),
        "over_centre_error": _error(skill(crps, centre_chosen)),
        "over_har_gaussian": _mean(skill(crps, bar("har_crps_close"))),
        "over_ewma": _mean(skill(crps, bar("ewma_crps_close"))),
        "validation_skill": _mean(validation),
        "last_epoch_skill": _mean(last),
        "point_skill": _mean(point),
        "point_skill_error": _error(point),
        "median_epoch": statistics.median(epochs.values()),
        "untrained_best_share": round(sum(epoch == 0 for epoch in epochs.values()) / len(epochs), 3),
        "runs": len(runs),
        "cells": len(over_base),
        "seconds": round(statistics.fmean(run["seconds"] for run in runs), 2),
        "parameters": runs[0]["parameters"],
    }


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """None where one side does not vary."""
    try:
        return _rounded(statistics.correlation(*zip(*pairs, strict=True)))
    except statistics.StatisticsError:
        return None


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(statistics.fmean(values))


def _error(values: Sequence[float]) -> float | None:
    """Standard error of the mean; None for a single value."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return _rounded(statistics.stdev(values) / math.sqrt(len(values)))


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


COLUMNS = {
    "rank": "",
    "candidate": "candidate",
    "skill": "skill, %",
    "validation_skill": "on validation",
    "over_centre": "over the centre",
    "over_har_gaussian": "over HAR Gaussian",
    "over_ewma": "over EWMA",
    "point_skill": "point, over the walk",
    "last_epoch_skill": "last epoch",
    "median_epoch": "epoch",
    "untrained_best_share": "untrained best",
    "seconds": "s a run",
}
"""Key of a row → its title."""


def markdown(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of a table; means stand with their standard errors."""
    yield "| " + " | ".join(COLUMNS.values()) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row in rows:
        yield "| " + " | ".join(_text(row, key) for key in COLUMNS) + " |"


def _text(row: dict[str, Any], key: str) -> str:
    value, error = row[key], row.get(f"{key}_error")
    if value is None:
        return "–"
    if key in ("rank", "candidate"):
        return str(value)
    if key == "untrained_best_share":
        return f"{100 * value:.0f} %"
    if key in ("median_epoch", "seconds"):
        return f"{value:g}"
    signed = f"{value:+.2f}".replace("-", "−")
    return signed if error is None else f"{signed} ± {error:.2f}"
