"""How often a test calls one of two equally good forecasts better: simulated markets, one JSON line a case.

    python -m benchmarks.null_markets [--markets 4000] [--case overlap …]

Cases, each with windows that share all but one of their ``horizon`` days with the next one:

* ``overlap``: the difference of losses is the moving sum of ``horizon`` independent normal days.
* ``memory``: the same, and a fifth of its variance is a slow wave (first-order autoregression, 0.95 a day) on top: the
  advantage changes sides every few weeks. Harder than what a test can know.
* ``garch``: squared errors of two exchangeable forecasts of the sum of ``horizon`` days of a GARCH(1, 1) market with
  Student's t innovations (5 degrees of freedom): positive, heavy-tailed, clustered losses, horizons 10 and 1.
* ``power``: ``overlap`` with a planted mean of 2, 3 and 4 standard errors.
* ``confidence_set``: 8 equally good forecasts; how often the set of the best excludes any.
* ``excess``: model and walk lose alike when perturbed; how often ``diagnose`` claims an excess.
* ``direction``: signs of market and forecast independent; how often skill is claimed.

``false_claims`` are percent of the markets, where 5 is promised. ``no_interval`` is how often the chosen test
finds no bounded interval for the skill, so that no verdict is given.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from arch.bootstrap import MCS, optimal_block_length
from numpy.typing import NDArray
from scipy.fft import dct

from model_core.config.run import EvaluationSettings
from model_core.data.splits import MIN_INDEPENDENT_WINDOWS, independent_windows
from model_core.diagnostics.growth import excess_interval
from model_core.evaluation.confidence_set import confidence_set
from model_core.evaluation.smoothing import critical_value, degrees_of_freedom
from model_core.metrics.direction import pesaran_timmermann

Markets = NDArray[np.float64]
Claims = NDArray[np.bool_]
COUNTS = (8, 20, 25, 41, 50, 61, 91, 200, 500, 998)
HORIZON = 10
CONFIDENCE = 0.95
REPLICATIONS = 500


def moving_sum(days: Markets, horizon: int) -> Markets:
    """[N, n] sums over ``horizon`` neighbors of [N, n + horizon − 1] days."""
    total = np.concatenate([np.zeros((len(days), 1)), np.cumsum(days, axis=1)], axis=1)
    return total[:, horizon:] - total[:, :-horizon]


def overlap(random: np.random.Generator, markets: int, count: int, horizon: int) -> Markets:
    """[N, n] loss differences with mean 0."""
    return moving_sum(random.standard_normal((markets, count + horizon - 1)), horizon)


def slow_wave(random: np.random.Generator, markets: int, count: int) -> Markets:
    """[N, n] first-order autoregression with variance 1, started in equilibrium."""
    wave = np.empty((markets, count))
    wave[:, 0] = random.standard_normal(markets)
    for day in range(1, count):
        wave[:, day] = 0.95 * wave[:, day - 1] + np.sqrt(1 - 0.95**2) * random.standard_normal(markets)
    return wave


def garch_losses(
    random: np.random.Generator, markets: int, count: int, horizon: int
) -> tuple[Markets, Markets]:
    """[N, n] squared errors of two forecasts, each off by noise of 0.3 of the market's own volatility."""
    warm = 200
    shocks = random.standard_t(5, (markets, warm + count + horizon - 1)) / np.sqrt(5 / 3)
    moves, deviation, variance = np.empty_like(shocks), np.empty_like(shocks), np.ones(markets)
    for day in range(shocks.shape[1]):
        deviation[:, day] = np.sqrt(variance)
        moves[:, day] = deviation[:, day] * shocks[:, day]
        variance = 0.02 + 0.08 * np.square(moves[:, day]) + 0.90 * variance
    true, deviation = moving_sum(moves[:, warm:], horizon), deviation[:, warm:]
    one, two = (
        np.square(true - moving_sum(0.3 * random.standard_normal(deviation.shape) * deviation, horizon))
        for _ in range(2)
    )
    return one, two


def cosine(model: Markets, baseline: Markets, degrees: int) -> Claims:
    """The equal-weighted cosine test of the mean difference, with so many degrees of freedom."""
    x = dct(model - baseline, norm="ortho", axis=1)[:, : degrees + 1]
    claims: Claims = np.square(x[:, 0]) > critical_value(degrees, CONFIDENCE) ** 2 * np.square(x[:, 1:]).mean(
        axis=1
    )
    return claims


def daniell(model: Markets, baseline: Markets, frequencies: int) -> Claims:
    """Mean of the first periodogram ordinates, t with twice as many degrees (Coroneo and Iacone, 2020)."""
    difference = model - baseline
    n = difference.shape[1]
    power = np.square(np.abs(np.fft.rfft(difference, axis=1)[:, 1 : frequencies + 1])).mean(axis=1) / n
    claims: Claims = (
        n * difference.mean(axis=1) ** 2 > critical_value(2 * frequencies, CONFIDENCE) ** 2 * power
    )
    return claims


def bartlett(model: Markets, baseline: Markets, bandwidth: int) -> Claims:
    """Bartlett weights and fixed-b critical values (Kiefer and Vogelsang, 2005; Coroneo and Iacone, 2020)."""
    difference = model - baseline
    n = difference.shape[1]
    centered = difference - difference.mean(axis=1, keepdims=True)
    variance = np.square(centered).mean(axis=1)
    for lag in range(1, min(bandwidth, n)):
        variance += 2 * (1 - lag / bandwidth) * (centered[:, lag:] * centered[:, :-lag]).sum(axis=1) / n
    b = bandwidth / n
    limit = 1.9600 + 2.9694 * b + 0.4160 * b**2 - 0.5324 * b**3
    claims: Claims = n * difference.mean(axis=1) ** 2 > limit**2 * variance
    return claims


def percentile_bootstrap(model: Markets, baseline: Markets, horizon: int) -> Claims:
    """Circular blocks by Politis and White, at least two horizons; percentiles of the resampled mean difference."""

    def claim(difference: NDArray[np.float64], seed: int) -> bool:
        n = len(difference)
        optimal = float(optimal_block_length(difference)["circular"].iloc[0]) if n > 10 else 1.0
        block = int(min(max(np.ceil(optimal), 2 * horizon), n))
        blocks = -(-n // block)
        starts = np.random.default_rng(seed).integers(0, n, size=(REPLICATIONS, blocks))
        total = np.concatenate([[0.0], np.cumsum(np.concatenate([difference, difference[:block]]))])
        last = n - (blocks - 1) * block
        sums = (total[block : block + n] - total[:n])[starts[:, :-1]].sum(axis=1)
        means = (sums + (total[last : last + n] - total[:n])[starts[:, -1]]) / n
        low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return bool(low > 0 or high < 0)

    return np.array([claim(d, seed) for seed, d in enumerate(model - baseline)])


def studentized_bootstrap(model: Markets, baseline: Markets, horizon: int) -> Claims:
    """Circular blocks of one horizon; the resampled mean in units of its own block-wise standard error."""

    def claim(difference: NDArray[np.float64], seed: int) -> bool:
        n = len(difference)
        block = min(horizon, n)
        number = n // block
        if number < 2:
            return False
        wrapped = np.concatenate([[0.0], np.cumsum(np.concatenate([difference, difference[:block]]))])
        means = (wrapped[block : block + n] - wrapped[:n]) / block
        starts = np.random.default_rng(seed).integers(0, n, size=(REPLICATIONS, number))
        drawn = means[starts]
        error = drawn.std(axis=1, ddof=1)
        t = np.abs(drawn.mean(axis=1) - difference.mean()) / np.where(error > 0, error, np.inf)
        # The sample's own standard error comes from its consecutive blocks, as a resample's does.
        own = means[: number * block : block]
        return bool(abs(difference.mean()) > np.quantile(t, CONFIDENCE) * own.std(ddof=1))

    return np.array([claim(d, seed) for seed, d in enumerate(model - baseline)])


def candidates(count: int, horizon: int) -> dict[str, Callable[[Markets, Markets], Claims]]:
    """Tests by name, each from losses [N, n] to claims [N]."""
    cube, square = max(1, int(count ** (1 / 3))), max(1, int(count**0.5))
    chosen = degrees_of_freedom(count, horizon)
    return {
        "percentile bootstrap (before)": lambda m, b: percentile_bootstrap(m, b, horizon),
        "studentized bootstrap": lambda m, b: studentized_bootstrap(m, b, horizon),
        "Bartlett, √n": lambda m, b: bartlett(m, b, square),
        "Daniell, ∛n": lambda m, b: daniell(m, b, cube),
        "cosines, ∛n": lambda m, b: cosine(m, b, cube),
        "cosines, chosen": lambda m, b: cosine(m, b, chosen),
    }


def comparison_case(name: str, horizon: int, count: int, markets: int, shift: float = 0.0) -> dict[str, Any]:
    """All candidates on one kind of market."""
    random = np.random.default_rng(count)
    if name == "garch":
        model, baseline = garch_losses(random, markets, count, horizon)
    else:
        model = overlap(random, markets, count, horizon)
        if name == "memory":
            model += 0.5 * np.sqrt(horizon) * slow_wave(random, markets, count)
        model += shift * horizon / np.sqrt(count)
        baseline = np.zeros_like(model)
    found = {test: claims(model, baseline) for test, claims in candidates(count, horizon).items()}
    row: dict[str, Any] = {"case": name, "horizon": horizon, "windows": count, "markets": markets}
    if shift:
        row["planted_standard_errors"] = shift
    row["claims" if shift else "false_claims"] = {
        t: round(100 * float(c.mean()), 1) for t, c in found.items()
    }
    degrees = degrees_of_freedom(count, horizon)
    row["degrees_of_freedom"] = degrees
    row["verdict_given"] = independent_windows(count, horizon) >= MIN_INDEPENDENT_WINDOWS
    if name == "garch":
        bounded = cosine(baseline, np.zeros_like(baseline), degrees)
        row["no_interval"] = round(100 * float(1 - bounded.mean()), 1)
    return row


def excess_case(growth: float, count: int, horizon: int, markets: int) -> dict[str, Any]:
    """Model and walk, each with noise of its own, lose alike under a perturbation: how often an excess is claimed."""
    random = np.random.default_rng(count)
    moves = overlap(random, markets, count, horizon)
    own = [0.5 * overlap(random, markets, count, horizon) for _ in range(2)]
    common = overlap(random, markets, count, horizon)
    change = [growth * (common + 0.3 * overlap(random, markets, count, horizon)) for _ in range(2)]
    clean = [np.abs(moves - noise) for noise in own]
    perturbed = [np.abs(moves - noise - more) for noise, more in zip(own, change, strict=True)]
    claims = []
    for market in range(markets):
        model, walk = ((perturbed[who][market], clean[who][market]) for who in range(2))
        low, high = excess_interval(model, walk, horizon, CONFIDENCE)
        claims.append(low > 0 or high < 0)
    return {
        "case": "excess",
        "horizon": horizon,
        "windows": count,
        "markets": markets,
        "degradation_ratio": round(float(perturbed[0].mean() / clean[0].mean()), 2),
        "false_claims": round(100 * float(np.mean(claims)), 1),
    }


def arch_excludes(losses: Markets, horizon: int, seed: int) -> bool:
    """Whether the model confidence set of ``arch`` (block bootstrap, blocks of two horizons) leaves any out."""
    block = min(2 * horizon, len(losses))
    chosen = MCS(losses, 1 - CONFIDENCE, REPLICATIONS, block, "R", "circular", seed=seed)
    chosen.compute()
    return len(chosen.included) < losses.shape[1]


def confidence_set_case(count: int, markets: int, forecasts: int = 8) -> dict[str, Any]:
    """How often any of several equally good forecasts is left out of the set of the best."""
    random = np.random.default_rng(count)
    settings = EvaluationSettings(confidence=CONFIDENCE)
    ours, arch = [], []
    for market in range(markets):
        losses = 100 + overlap(random, forecasts + 1, count, HORIZON)
        table = (losses[:-1] + losses[-1]).T
        names, _ = confidence_set({str(k): table[:, k] for k in range(forecasts)}, HORIZON, settings)
        ours.append(names is not None and len(names) < forecasts)
        # A hundred times slower, and far enough off to be seen with fewer markets.
        if market < markets // 10:
            arch.append(arch_excludes(table, HORIZON, market))
    shares = {"arch (before)": arch, "cosines, chosen": ours}
    return {
        "case": "confidence_set",
        "forecasts": forecasts,
        "windows": count,
        "markets": markets,
        "markets_of_arch": len(arch),
        "false_claims": {name: round(100 * float(np.mean(found)), 1) for name, found in shares.items()},
    }


def direction_case(count: int, markets: int) -> dict[str, Any]:
    """One-sided, on independent cases; the market rises in 55 % and so does the forecast."""
    random = np.random.default_rng(count)
    draws = [random.random((2, count)) < 0.55 for _ in range(markets)]
    found = [pesaran_timmermann(forecast, actual, at_least=0) for forecast, actual in draws]
    claims = [row.p_value is not None and row.p_value < 1 - CONFIDENCE for row in found]
    share = round(100 * float(np.mean(claims)), 1)
    return {"case": "direction", "windows": count, "markets": markets, "false_claims": share}


def cases(wanted: set[str], markets: int) -> Iterator[dict[str, Any]]:
    """Every case that was asked for."""
    for name, horizon in (("overlap", HORIZON), ("memory", HORIZON), ("garch", HORIZON), ("garch", 1)):
        if name in wanted:
            yield from (comparison_case(name, horizon, count, markets) for count in COUNTS)
    if "power" in wanted:
        yield from (comparison_case("overlap", HORIZON, 998, markets, shift) for shift in (2.0, 3.0, 4.0))
    if "confidence_set" in wanted:
        yield from (confidence_set_case(count, markets) for count in COUNTS if count >= 41)
    if "excess" in wanted:
        spans = ((16, 1), (64, 1), (128, 2), (50, HORIZON), (91, HORIZON), (200, HORIZON), (998, HORIZON))
        for growth in (0.02, 0.3, 5.0):
            yield from (excess_case(growth, count, horizon, markets) for count, horizon in spans)
    if "direction" in wanted:
        yield from (direction_case(count, markets) for count in (8, 20, 30, 50, 100, 998))


CASES = ("overlap", "memory", "garch", "power", "confidence_set", "excess", "direction")


def main() -> None:
    """Simulate what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--markets", type=int, default=4000, help="per case; 4,000 know 5 %% to 0.3 points")
    parser.add_argument("--case", action="append", choices=CASES, help="may be given more than once")
    given = parser.parse_args()
    for line in cases(set(given.case or CASES), given.markets):
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
