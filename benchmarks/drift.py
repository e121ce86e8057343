"""Is the drift of the past worth keeping? Rolling origins on real markets, one JSON line a market and rule.

    python -m benchmarks.drift [--source sample://nasdaq …]

At each origin the HAR walk is fitted on all windows before it and forecasts the 490 after it, with none of its drift,
with a share of it by three rules from the windows before, and with all of it. Windows of 64 days, 10 ahead.

- ``believed``: the mean of what rolling blocks make believable (``expected_share``): the walk's own rule
- ``best``: the share with the smallest error in those blocks
- ``one_standard_error``: the smallest share that is not worse than that one by more than a standard error
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.markets import print_by_market
from model_core.config.data import DataSettings, WindowSettings
from model_core.data.prepare import prepare
from model_core.data.splits import Span
from model_core.data.walk import displacements, drift_moments, expected_share, least_squares_walk
from model_core.training.shrinkage import smallest_share

WINDOW = WindowSettings(seq_len=64, label_len=32, pred_len=10)
FIRST_ORIGIN, SPAN = 2000, 490
SHARES = np.linspace(0, 1, 101)


def skills(source: str) -> Iterator[dict[str, Any]]:
    """Skill against the last Close, in percent, of every rule at every origin."""
    dataset = prepare(source, DataSettings(window=WINDOW))
    known, horizon = dataset.known_ranges, WINDOW.pred_len
    found: dict[str, list[tuple[float, float]]] = {}
    for origin in range(FIRST_ORIGIN, len(dataset.dates) - horizon - SPAN, SPAN):
        before, after = Span(WINDOW.seq_len - 1, origin + 1 - horizon), Span(origin, origin + SPAN)
        moments = drift_moments(known, before, horizon)
        assert moments is not None
        agreement, size = moments
        losses = 1 - 2 * np.outer(agreement, SHARES) + np.outer(size, np.square(SHARES))
        shares = {
            "none": 0.0,
            "one_standard_error": smallest_share(losses, SHARES),
            "best": float(SHARES[losses.mean(axis=0).argmin()]),
            "believed": expected_share(agreement, size),
            "all": 1.0,
        }
        walk = least_squares_walk(known, before, horizon, "har")
        true = displacements(dataset.log_prices, after, horizon)
        for rule, share in shares.items():
            error = known.displacement(walk.with_drift_of(walk, share), after) - true
            skill = 100 * (1 - float(np.square(error).mean() / np.square(true).mean()))
            found.setdefault(rule, []).append((share, skill))
    for rule, pairs in found.items():
        values = [skill for _, skill in pairs]
        yield {
            "source": source,
            "rule": rule,
            "shares": [round(share, 2) for share, _ in pairs],
            "skill_percent": [round(value, 1) for value in values],
            "mean": round(float(np.mean(values)), 1),
            "worst": round(min(values), 1),
        }


if __name__ == "__main__":
    print_by_market(__doc__, skills)
