"""What stands below the figures: sentences that are derived from the numbers, or that always hold."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from model_core.axes import TARGETS
from model_core.errors import counted
from model_core.evaluation.verdict import percent, signed
from model_core.report.bands import Band
from model_core.report.calibration_figures import Judged
from model_core.report.graph_figures import effective_number
from model_core.report.regime_figures import LossPair
from model_core.results.calibration import JUDGED
from model_core.results.findings import Findings
from model_core.results.regimes import Regimes, RegimeSkill
from model_core.results.scores import ForecastScore, Scores
from model_core.results.skill import Comparison, Outcome
from model_core.results.training import TrainResults

NEARLY_EVEN = 0.95
"""Share of the columns that the rows of a matrix are worth from which it is called indistinguishable from uniform."""


def decision_rule(confidence: float) -> str:
    """When a forecast is called better or worse."""
    return (
        f"One rule decides: “better” or “worse” is said only if the whole {percent(confidence, 0)} interval of the "
        "skill lies on one side of 0 – in squared log error for the point forecast, in CRPS for the distribution."
    )


def evidence_base(scores: Scores, training: TrainResults, others: Iterable[Comparison] = ()) -> str:
    """How much of a sample the verdict stands on; ``others`` are compared on the page beside ``scores``."""
    seeds = len(training.members) or 1
    judged = sum(row.outcome != "no verdict" for row in chain(comparisons(scores), others))
    chance = (1 - scores.confidence) * judged
    return (
        f"{counted(seeds, 'seed')}, 1 split: how much another seed or another span would change is not in these "
        f"intervals. {counted(judged, 'comparison')} on this page; if all forecasts were equally good, chance alone "
        f"would call about {chance:.0f} of them better or worse."
    )


def comparisons(scores: Scores) -> Iterable[Comparison]:
    """Every comparison that the page shows with an outcome."""
    best = scores.skill[scores.best_baseline]
    yield from (scores.skill_against(name) for name in scores.skill)
    for target in TARGETS:
        yield best.squared_log_error[target]
        yield best.absolute_log_error[target]
    yield scores.skill_against("last_close", "Close")
    for by_target in (scores.calibration.skill or {}).values():
        yield by_target["Close"]
    if scores.regimes is not None:
        for rows in (scores.regimes.by_year, scores.regimes.by_volatility):
            for row in rows.values():
                yield row.point
                if row.distribution is not None:
                    yield row.distribution
    if scores.unshrunk is not None:
        yield scores.unshrunk.gain
        if scores.unshrunk.close_crps_gain is not None:
            yield scores.unshrunk.close_crps_gain


def of_outcomes(outcomes: Sequence[Outcome]) -> str:
    """``better in 1 of 5, worse in 0, no evidence in 4``."""
    better, worse = outcomes.count("better"), outcomes.count("worse")
    said = f"better in {better} of {len(outcomes)}, worse in {worse}, no evidence in "
    undecided = outcomes.count("no verdict")
    rest = f", too few windows in {undecided}" if undecided else ""
    return f"{said}{len(outcomes) - better - worse - undecided}{rest}"


def skill_caption(rows: Mapping[str, Comparison], confidence: float) -> str:
    """Of the skill against each baseline."""
    return (
        f"Skill in squared log error against each baseline with its {percent(confidence, 0)} interval; right of the "
        f"line the model is better. Of the comparisons it is {of_outcomes([r.outcome for r in rows.values()])}."
    )


def target_caption(model: ForecastScore) -> str:
    """Which target the model errs most on."""
    errors = {target: model.metrics.log.per_target[target].mae for target in TARGETS}
    hardest, easiest = max(errors, key=errors.__getitem__), min(errors, key=errors.__getitem__)
    said = "By target: mean absolute error of the log price, close to the error in percent. "
    if errors[hardest] == errors[easiest]:
        return f"{said}The model errs by as much on each."
    return (
        f"{said}The model errs most on {hardest} ({percent(errors[hardest], 2)}) and least on {easiest} "
        f"({percent(errors[easiest], 2)})."
    )


def horizon_caption(model: ForecastScore) -> str:
    """How the error changes with the forecast day."""
    rows = model.metrics.log.per_step
    said = "By forecast day: mean absolute error of the log price, close to the error in percent."
    first, last = rows[0], rows[-1]
    if first.step == last.step:
        return said
    ends = [percent(row.mae, 2) for row in (first, last)]
    if ends[0] == ends[1]:
        return f"{said} The model's is {ends[0]} on day {first.step} as on day {last.step}."
    change = "grows" if last.mae > first.mae else "shrinks"
    return f"{said} The model's {change} from {ends[0]} on day {first.step} to {ends[1]} on day {last.step}."


def pit_caption(one: Judged, windows: int, horizon: int, confidence: float, band: Band | None) -> str:
    """Whether the distribution leans to one side, and whether it is too narrow or too wide."""
    said = f"Level bars are honest. Of {one.title}: "
    if band is None:
        return f"{said}too few independent windows for a band."
    independent = windows / horizon
    pit = np.asarray(one.close.pit)
    middle = float(pit @ ((np.arange(len(pit)) + 0.5) / len(pit)))
    # A uniform number has the variance 1/12, and the share of two tenths p(1 − p).
    reach = 1.96 * np.sqrt(np.array([1 / 12, 0.2 * 0.8]) / independent)
    outer = float(pit[0] + pit[-1])
    tilt = "no tilt beyond chance"
    if abs(middle - 0.5) > reach[0]:
        side, wrong = ("high", "too low") if middle > 0.5 else ("low", "too high")
        tilt = f"tilted: prices came out {side} in it more often than chance allows, so it lies {wrong}"
    width = "no sign of a wrong width"
    if abs(outer - 0.2) > reach[1]:
        width = "too narrow" if outer > 0.2 else "too wide"
    outside = sum(band.side(float(share)) != 0 for share in pit)
    return (
        f"{said}{tilt} (mean at {percent(middle, 0)}, honest 50 %); {width} (outer tenths hold {percent(outer, 0)}, "
        f"honest 20 %); {outside} of {len(pit)} bars outside the band, where an honest bar lies in "
        f"{percent(confidence, 0)} of cases if {windows:,} overlapping windows count as {independent:.0f}."
    )


def reliability_caption(one: Judged, bands: Sequence[Band | None]) -> str:
    """How far the quantiles are from what they say."""
    levels = np.cumsum(one.close.pit)[:-1]
    nominal = np.arange(1, len(levels) + 1) / (len(levels) + 1)
    worst = int(np.argmax(np.abs(levels - nominal)))
    said = (
        f"On the line a quantile holds what it says. Farthest from it is {one.title} at {percent(nominal[worst], 0)}, "
        f"at or below which {percent(float(levels[worst]), 0)} of the days are"
    )
    judged = [band.side(float(level)) for band, level in zip(bands, levels, strict=True) if band is not None]
    return f"{said}; {sum(map(abs, judged))} of {len(judged)} are outside the band." if judged else f"{said}."


def thirds_caption(one: Judged, band: Band | None) -> str:
    """In which markets the interval is too narrow or too wide."""
    thirds = {name: part[JUDGED] for name, part in (one.close.coverage_by_volatility or {}).items()}
    said = "Thirds of the windows by their recent range. "
    held = ", ".join(f"{percent(share, 0)} in {name}" for name, share in thirds.items())
    if band is None:
        return f"{said}Held by {one.title}: {held} ones."
    wrong = [
        f"{'too wide' if band.side(share) > 0 else 'too narrow'} in {name} markets"
        for name, share in thirds.items()
        if band.side(share)
    ]
    return f"{said}Held by {one.title}: {held} ones; {' and '.join(wrong) or 'all within chance'}."


def by_day_caption(one: Judged, band: Band | None) -> str:
    """Whether near and far days are held as well."""
    said = "CRPS of Close by forecast day; smaller is better."
    if one.close.coverage_per_step is None:
        return said
    said = f"{said} Beside it what the 90 % interval holds."
    if band is None:
        return said
    shares = one.close.coverage_per_step[JUDGED]
    low, high = (sum(band.side(s) == side for s in shares) for side in (-1, 1))
    if low or high:
        return f"{said} {one.title} holds too little on {low} and too much on {high} of {len(shares)} days."
    return f"{said} No day of {one.title} leaves the band."


def cumulative_caption(pairs: Sequence[LossPair]) -> str:
    """Whether what was gained came all the time or at once."""
    told = [f"the {pair.title} ends at {signed(float(pair.gain[-1]) / 100)}" for pair in pairs]
    return (
        "Loss of the bar less that of the model, added up, in % of the bar's whole loss: a line that climbs all the "
        "way is skill, one that jumps is a few days. At the right end it is the skill of the whole span, and leaving "
        f"the gray band there is the verdict. In squared log error and CRPS: {'; '.join(told)}."
    )


def regimes_caption(regimes: Regimes) -> str:
    """In how many years and thirds the model is better or worse."""
    told = []
    for title, rows in (("by year", regimes.by_year), ("by volatility", regimes.by_volatility)):
        parts = [f"point forecast {of_outcomes([r.point.outcome for r in rows.values()])}"]
        judged = [r.distribution.outcome for r in rows.values() if r.distribution is not None]
        if judged:
            parts.append(f"distribution {of_outcomes(judged)}")
        told.append(f"{title}: {'; '.join(parts)}")
    return (
        "In squared log error and CRPS, against the bars of the verdict. "
        f"{'. '.join(t[0].upper() + t[1:] for t in told)}. With this many cuts, some stand out by chance."
    )


def regime_rows(regimes: Regimes) -> dict[str, RegimeSkill]:
    """Those with windows enough, by how they are called: ``2016 (251)``, ``calm (333)``."""
    rows = regimes.by_year | regimes.by_volatility
    return {f"{name} ({row.windows})": row for name, row in rows.items() if row.point.outcome != "no verdict"}


def robustness_caption(findings: Findings, effect: float | None) -> str:
    """What counts as fragile, and on how many windows."""
    by = "the effect that was asked for, which was not kept" if effect is None else percent(effect, 0)
    return (
        f"Error under perturbation over clean error on {counted(findings.windows, 'window')}, with intervals; left of "
        f"× 1 a perturbation would even help. Fragile: grown beyond chance and by more than {by}, by itself and beyond "
        "a random walk where one reads what is perturbed."
    )


def graph_caption(
    values: Sequence[Sequence[float]],
    node: str,
    what: str,
    seeds: int,
    spread: Sequence[Sequence[float]] | None = None,
) -> str:
    """Whether the weights differ from even ones, and ``spread``: by how much from seed to seed."""
    columns = len(values[0])
    worth = effective_number(values)
    even = worth >= NEARLY_EVEN * columns
    judged = (
        f"indistinguishable from uniform, as from {percent(NEARLY_EVEN, 0)} on is said"
        if even
        else "not uniform"
    )
    between = f"{seeds} seeds, of which this is the mean"
    if seeds == 1:
        between = "1 seed: how far another would differ is not known"
    elif spread is not None:
        shares = np.asarray(values) - np.sum(values, axis=1, keepdims=True) / columns
        apart, differ = (100 * float(np.sqrt(np.mean(np.square(part)))) for part in (shares, spread))
        between += f": a share differs by {differ:.1f} points from seed to seed, the mean by {apart:.1f} from even ones"
    return f"{what} Its rows are worth {worth:.1f} of {columns} equal {node}s: {judged}. {between}."
