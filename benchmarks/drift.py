"""Is the drift of the past worth keeping? Rolling origins on real markets, one JSON line a market and share.

    python -m benchmarks.drift [--source sample://nasdaq …]

At each origin the HAR walk is fitted on all windows before it and forecasts the 490 after it, with none of its drift,
with the share that ``drift_share`` takes from the windows before, and with all of it. Windows of 64 days, 10 ahead.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.markets import print_by_market
from model_core.config.data import DataSettings, WindowSettings
from model_core.data.prepare import prepare
from model_core.data.splits import Span, Splits
from model_core.data.walk import displacements, drift_share, least_squares_walk

WINDOW = WindowSettings(seq_len=64, label_len=32, pred_len=10)
FIRST_ORIGIN, SPAN = 2000, 490


def skills(source: str) -> Iterator[dict[str, Any]]:
    """Skill against the last Close, in percent, of the three shares at every origin."""
    dataset = prepare(source, DataSettings(window=WINDOW))
    known, horizon = dataset.known_ranges, WINDOW.pred_len
    found: dict[str, list[float]] = {"none": [], "rule": [], "all": []}
    shares = []
    for origin in range(FIRST_ORIGIN, len(dataset.dates) - horizon - SPAN, SPAN):
        before, after = Span(WINDOW.seq_len - 1, origin + 1 - horizon), Span(origin, origin + SPAN)
        shares.append(drift_share(known, Splits(train=before, validation=before, test=after), horizon))
        walk = least_squares_walk(known, before, horizon, "har")
        true = displacements(dataset.log_prices, after, horizon)
        for name, share in (("none", 0.0), ("rule", shares[-1]), ("all", 1.0)):
            error = known.displacement(walk.with_drift_of(walk, share), after) - true
            found[name].append(100 * (1 - float(np.square(error).mean() / np.square(true).mean())))
    for name, values in found.items():
        yield {
            "source": source,
            "drift": name,
            "shares": shares if name == "rule" else None,
            "skill_percent": [round(value, 1) for value in values],
            "mean": round(float(np.mean(values)), 1),
            "worst": round(min(values), 1),
        }


if __name__ == "__main__":
    print_by_market(__doc__, skills)
