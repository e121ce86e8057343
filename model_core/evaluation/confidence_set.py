"""Which of several forecasts may be the best: the model confidence set of Hansen, Lunde and Nason (2011).

The worst forecast is dropped for as long as the rest are not equally good. Whether they are is asked of all pairs with
the fixed-smoothing test of ``model_core.evaluation.smoothing`` and Bonferroni's correction. Its promise holds with few
independent windows; the block bootstrap of the original drops one of eight equally good forecasts in most markets then
(``benchmarks/null_markets.py``).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model_core.config.run import EvaluationSettings
from model_core.evaluation.significance import ROUNDING, Losses, too_few_windows
from model_core.evaluation.smoothing import cosine_coefficients, critical_value


def confidence_set(
    losses: Mapping[str, Losses], horizon: int, settings: EvaluationSettings
) -> tuple[list[str] | None, str | None]:
    """Names of the forecasts that may each be the best one, or None and why no such set can be given.

    The true best is among them with probability ``settings.confidence``.

    Args:
        losses: per window [n], by the name of the forecast; equal ones stay or go together.
    """
    table = np.stack(list(losses.values()), axis=1)
    if lack := too_few_windows(len(table), horizon):
        return None, lack
    statistic, degrees = _pairwise(table, horizon)
    alive = np.arange(table.shape[1])
    while True:
        among = statistic[np.ix_(alive, alive)]
        pairs = len(alive) * (len(alive) - 1) // 2
        if pairs == 0 or among.max() <= critical_value(degrees, 1 - (1 - settings.confidence) / pairs):
            break
        worst = alive[np.argmax(among.max(axis=1))]
        alive = alive[(table[:, alive] != table[:, [worst]]).any(axis=0)]
    names = list(losses)
    return [names[index] for index in alive], None


def _pairwise(table: NDArray[np.float64], horizon: int) -> tuple[NDArray[np.float64], int]:
    """[k, k] t statistic of every mean difference, positive where the row is worse, and its degrees of freedom."""
    level, *waves = cosine_coefficients(table[:, :, None] - table[:, None, :], horizon)
    error = np.sqrt(np.mean(np.square(waves), axis=0))
    # A difference that never varies is not evidence of anything, however small it is.
    varies = error > ROUNDING * table.mean()
    return np.divide(level, error, out=np.zeros_like(level), where=varies), len(waves)
