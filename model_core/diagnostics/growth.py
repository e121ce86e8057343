"""How much an error grows under a disturbance, and whether it grows more than a random walk's own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_core.config.run import DiagnosticsSettings
from model_core.evaluation.significance import ROUNDING, too_few_windows
from model_core.evaluation.smoothing import critical_value, mean_test, ratio_set

Losses = NDArray[np.float64]
Pair = tuple[Losses, Losses]
"""Losses per window [n], disturbed and clean."""


def compare_growth(model: Pair, walk: Pair, overlap: int, settings: DiagnosticsSettings) -> dict[str, Any]:
    """Degradation ratios of model and walk, their difference (the excess), and whether the model is fragile.

    Fragile: the model's error grows, the excess is significant, and it is larger than ``settings.smallest_effect``.
    The excess is tested itself, as a paired comparison: model and walk are disturbed in the same windows, so it is
    known far better than the two ratios, and comparing the ends of their intervals would miss much of what is there.

    Args:
        overlap: how many neighbors of a window share days with it.

    Returns:
        Part of a finding. ``fragile`` is None, with ``fragile_reason``, where it cannot be decided; ratios and ends of
        intervals are None where they do not exist.
    """
    found: dict[str, Any] = {
        "degradation": degradation(*model, overlap, settings),
        "walk_degradation": degradation(*walk, overlap, settings),
        "excess": None,
        "excess_low": None,
        "excess_high": None,
        "fragile": None,
        "fragile_reason": None,
    }
    ratio, walk_ratio = found["degradation"]["ratio"], found["walk_degradation"]["ratio"]
    if ratio is None or walk_ratio is None:
        who = "the model" if ratio is None else "the random walk"
        return found | {
            "fragile_reason": f"{who} makes no error on clean input, so that no growth can be measured"
        }
    found["excess"] = ratio - walk_ratio
    if lack := too_few_windows(len(model[0]), overlap):
        return found | {"fragile_reason": lack}
    # What each window adds to the difference of the two ratios (delta method); its mean is 0 by construction.
    added = (model[0] - ratio * model[1]) / model[1].mean() - (walk[0] - walk_ratio * walk[1]) / walk[
        1
    ].mean()
    test = mean_test(added, overlap)
    reach = critical_value(test.degrees, settings.confidence) * test.standard_error
    found |= {"excess_low": found["excess"] - reach, "excess_high": found["excess"] + reach}
    low = found["degradation"]["low"]
    if low is None:
        reason = "the clean error varies too much in these windows for a ratio to it"
        return found | {"fragile_reason": reason}
    beyond = found["excess_low"] > 0 and found["excess"] > settings.smallest_effect
    return found | {"fragile": bool(beyond and low > 1)}


def degradation(
    disturbed: Losses, clean: Losses, overlap: int, settings: DiagnosticsSettings
) -> dict[str, float | None]:
    """Ratio of mean losses, disturbed over clean, with its interval; None where either does not exist."""
    level = float(clean.mean())
    if level <= ROUNDING:
        return {"ratio": None, "low": None, "high": None}
    ratio = float(disturbed.mean()) / level
    ends = None
    if too_few_windows(len(clean), overlap) is None:
        ends = ratio_set(disturbed, clean, overlap, settings.confidence)
    low, high = ends or (None, None)
    return {"ratio": ratio, "low": low, "high": high}
