"""How often a correlation is claimed between departures that do not know of each other: one JSON line a count.

    python -m benchmarks.null_departures [--markets 4000]

Forecast and market depart from the base by moving sums of ``HORIZON`` independent days each. ``false_claims`` are
percent of the markets whose interval leaves 0 out, where 5 is promised.
"""

import argparse
import json

import numpy as np

from benchmarks.null_markets import CONFIDENCE, COUNTS, HORIZON, overlap
from model_core.evaluation.departure import target_departure


def false_claims(count: int, markets: int) -> float:
    """Percent of ``markets`` of ``count`` windows."""
    random = np.random.default_rng(count)
    pairs = zip(*(overlap(random, markets, count, HORIZON) for _ in range(2)), strict=True)
    found = [target_departure(ours, real, horizon=HORIZON, confidence=CONFIDENCE) for ours, real in pairs]
    claims = [row.low is not None and row.high is not None and not row.low <= 0 <= row.high for row in found]
    return 100 * float(np.mean(claims))


def main() -> None:
    """Simulate every number of windows that a verdict is given for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--markets", type=int, default=4000, help="per line; 4,000 know 5 %% to 0.3 points")
    markets = parser.parse_args().markets
    for count in COUNTS:
        if count >= 5 * HORIZON:
            row = {
                "windows": count,
                "markets": markets,
                "false_claims": round(false_claims(count, markets), 1),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
