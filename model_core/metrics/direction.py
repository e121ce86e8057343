"""Did a forecast name the right direction more often than chance? Pesaran and Timmermann's test. NumPy only.

With n independent cases, p̂ the share of right signs, x and y the shares of forecast and true rises:

    p* = x y + (1 − x)(1 − y)                         right by chance alone, given both shares
    V(p̂) = p*(1 − p*) / n
    V(p*) = [(2y − 1)² x(1 − x) + (2x − 1)² y(1 − y)] / n + 4 x y (1 − x)(1 − y) / n²
    S = (p̂ − p*) / √(V(p̂) − V(p*))  ~  N(0, 1)      (Pesaran and Timmermann, 1992)

A forecast that always says "up" is right as often as the market rises and has no skill: p̂ = p*.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from model_core.results.scores import Direction, DirectionTest

Signs = NDArray[np.bool_]
MIN_CASES = 30
"""Below, the normal approximation claims skill too often (``benchmarks/null_markets.py``)."""


def direction_score(true: NDArray[np.float64], forecast: NDArray[np.float64], step: int) -> Direction:
    """Accuracy of signs of moves [n] that each take ``step`` days, of windows that start a day apart.

    The test uses every ``step``-th window, so that no two share a day; accuracies use all of them.

    Returns:
        A test that is None, with a ``reason``, where either side only ever goes one way.
    """
    up, said = true > 0, forecast > 0
    share = float(up.mean())
    return Direction(
        target="Close",
        step=step,
        accuracy=float((up == said).mean()),
        majority_accuracy=max(share, 1 - share),
        share_up=share,
        share_forecast_up=float(said.mean()),
        pesaran_timmermann=pesaran_timmermann(up[::step], said[::step]),
    )


def pesaran_timmermann(up: Signs, said: Signs, at_least: int = MIN_CASES) -> DirectionTest:
    """The test on independent cases [n]: small p-values speak for skill."""
    n, y, x = len(up), float(up.mean()), float(said.mean())
    if n < at_least:
        reason = f"{n} windows that share no day are too few for the test; it needs {at_least}"
        return _no_test(n, reason)
    if min(x, y) == 0 or max(x, y) == 1:
        who = "the forecast" if x in (0, 1) else "the market"
        return _no_test(n, f"{who} only ever goes one way in these windows")
    right, chance = float((up == said).mean()), x * y + (1 - x) * (1 - y)
    spread = (2 * y - 1) ** 2 * x * (1 - x) + (2 * x - 1) ** 2 * y * (1 - y)
    variance = (chance * (1 - chance) - spread) / n - 4 * x * y * (1 - x) * (1 - y) / n**2
    if variance <= 0:
        return _no_test(n, "too few windows")
    statistic = (right - chance) / variance**0.5
    return DirectionTest(windows=n, statistic=float(statistic), p_value=float(ndtr(-statistic)), reason=None)


def _no_test(windows: int, reason: str) -> DirectionTest:
    return DirectionTest(windows=windows, statistic=None, p_value=None, reason=reason)
