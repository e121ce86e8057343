"""How sure a difference between two forecasts is: paired bootstrap, Diebold–Mariano, a verdict.

Losses of neighbouring windows overlap in time, so their difference is resampled in blocks (circular block
bootstrap, block length by Politis and White through ``arch``, at least twice the horizon).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from arch.bootstrap import MCS, optimal_block_length
from numpy.typing import NDArray
from scipy import stats

from model_core.config.run import EvaluationSettings

Losses = NDArray[np.float64]
Outcome = Literal["better", "worse", "no evidence either way"]


@dataclass(frozen=True)
class Interval:
    """A statistic with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A model against one baseline, on losses per window."""

    skill: Interval
    """1 − mean loss of the model / mean loss of the baseline."""
    block_length: int
    dm_statistic: float
    """Diebold–Mariano with the Harvey–Leybourne–Newbold correction; negative where the model is better."""
    dm_p_value: float
    """Two-sided."""
    minimum_detectable_effect: float
    """Skill that such a test would find with 80 % power."""
    outcome: Outcome


def block_length(difference: Losses, horizon: int) -> int:
    """Block length for a series of loss differences [n]: Politis–White, at least 2 · horizon."""
    if np.ptp(difference) == 0:
        return min(2 * horizon, len(difference))
    optimal = float(optimal_block_length(difference)["circular"].iloc[0])
    return int(min(max(np.ceil(optimal), 2 * horizon), len(difference)))


def block_means(series: Losses, block: int, replications: int, seed: int) -> Losses:
    """[replications, k] means of circular block resamples of ``series`` [n, k].

    Every series of one call is resampled with the same blocks, so their means stay paired. Sums over
    blocks are taken once, by cumulation; a resample only adds them up.
    """
    count = len(series)
    blocks = -(-count // block)
    starts = np.random.default_rng(seed).integers(0, count, size=(replications, blocks))
    wrapped = np.concatenate(
        [np.zeros((1, series.shape[1])), np.cumsum(np.vstack([series, series[:block]]), axis=0)]
    )
    sums = wrapped[block : block + count] - wrapped[:count]
    last = count - (blocks - 1) * block
    last_sums = wrapped[last : last + count] - wrapped[:count]
    totals = sums[starts[:, :-1]].sum(axis=1) + last_sums[starts[:, -1]]
    return totals / count


def ratio_interval(
    numerator: Losses, denominator: Losses, *, block: int, replications: int, confidence: float, seed: int
) -> tuple[Interval, Losses]:
    """mean(numerator) / mean(denominator) with a percentile interval, and the replicates behind it."""
    means = block_means(np.stack([numerator, denominator], axis=1), block, replications, seed)
    ratios = means[:, 0] / means[:, 1]
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(numerator.mean() / denominator.mean()), float(low), float(high)), ratios


def compare(
    model: Losses, baseline: Losses, *, horizon: int, replications: int, confidence: float, seed: int
) -> Comparison:
    """The skill of ``model`` against ``baseline``; both are losses per window [n] in time order."""
    block = block_length(model - baseline, horizon)
    ratio, replicates = ratio_interval(
        model, baseline, block=block, replications=replications, confidence=confidence, seed=seed
    )
    skill = Interval(1 - ratio.value, 1 - ratio.high, 1 - ratio.low)
    statistic, p_value = diebold_mariano(model, baseline, horizon)
    power = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(0.8)
    return Comparison(
        skill=skill,
        block_length=block,
        dm_statistic=statistic,
        dm_p_value=p_value,
        minimum_detectable_effect=float(power * replicates.std()),
        outcome=outcome_of(skill),
    )


def comparison_row(
    model: Losses, baseline: Losses, horizon: int, settings: EvaluationSettings
) -> dict[str, Any]:
    """``compare`` as it stands in ``scores.json``."""
    flat = asdict(
        compare(
            model,
            baseline,
            horizon=horizon,
            replications=settings.bootstrap_replications,
            confidence=settings.confidence,
            seed=settings.seed,
        )
    )
    interval = flat.pop("skill")
    return {
        "skill": interval["value"],
        "low": interval["low"],
        "high": interval["high"],
        "verdict": flat.pop("outcome"),
        **flat,
    }


def confidence_set(losses: Mapping[str, Losses], horizon: int, settings: EvaluationSettings) -> list[str]:
    """Names of the forecasts that may each be the best one (model confidence set, Hansen et al., 2011).

    The true best is among them with probability ``settings.confidence``; all others are worse. Blocks are
    the longest that any difference from the forecast with the smallest mean loss asks for.
    """
    # Forecasts that never differ (an untrained model is the structured walk) have one place among the rest.
    distinct = {values.tobytes(): name for name, values in reversed(list(losses.items()))}
    names = [name for name in losses if name in distinct.values()]
    if len(names) == 1:
        return list(losses)
    best = min(names, key=lambda name: float(losses[name].mean()))
    chosen = MCS(
        pd.DataFrame({name: losses[name] for name in names}),
        size=1 - settings.confidence,
        reps=settings.bootstrap_replications,
        block_size=max(block_length(losses[name] - losses[best], horizon) for name in names if name != best),
        method="R",
        bootstrap="circular",
        seed=settings.seed,
    )
    chosen.compute()
    included = set(chosen.included)
    return [name for name, values in losses.items() if distinct[values.tobytes()] in included]


def outcome_of(skill: Interval) -> Outcome:
    """In plain words, from the interval alone."""
    if skill.low > 0:
        return "better"
    if skill.high < 0:
        return "worse"
    return "no evidence either way"


def diebold_mariano(model: Losses, baseline: Losses, horizon: int) -> tuple[float, float]:
    """Statistic and two-sided p-value of equal accuracy (Diebold and Mariano, 1995).

    The long-run variance sums the first horizon − 1 autocovariances with Bartlett weights, so that it can't
    be negative; small samples are corrected as by Harvey, Leybourne and Newbold (1997). Identical
    losses give 0 and 1.
    """
    difference = model - baseline
    count = len(difference)
    centred = difference - difference.mean()
    variance = float(centred @ centred) / count
    for lag in range(1, min(horizon, count)):
        variance += 2 * (1 - lag / horizon) * float(centred[lag:] @ centred[:-lag]) / count
    if variance <= 0:
        return 0.0, 1.0
    statistic = float(difference.mean()) / np.sqrt(variance / count)
    correction = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    statistic *= np.sqrt(max(correction, 0.0))
    return float(statistic), float(2 * stats.t.sf(abs(statistic), count - 1))
