"""How much an error grows under a perturbation, and whether it grows more than a random walk's own."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from model_core.config.run import DiagnosticsSettings
from model_core.evaluation.significance import ROUNDING, too_few_windows
from model_core.evaluation.smoothing import critical_value, mean_test, ratio_set
from model_core.results.findings import Growth, GrowthComparison

Losses = NDArray[np.float64]
Pair = tuple[Losses, Losses]
"""Losses per window [n], perturbed and clean."""


def compare_growth(
    model: Pair, walk: Pair, overlap: int, settings: DiagnosticsSettings, *, walk_reads: bool = True
) -> GrowthComparison:
    """Degradation ratios of model and walk, their difference (the excess), and whether the model is fragile.

    Fragile: the model's error grows and the excess is positive, both significantly and both by more than
    ``settings.smallest_effect``. A model whose error stays as it is is not fragile because a walk's error shrinks.
    The excess is tested itself, as a paired comparison: model and walk are perturbed in the same windows, so it is
    known far better than the two ratios, and comparing the ends of their intervals would miss much of what is there.

    Args:
        overlap: how many neighbors of a window share days with it.
        walk_reads: whether the walk reads what is perturbed. One that does not loses nothing whatever happens, so it
            says nothing of a model that reads it, whose growth is then judged alone.

    Returns:
        ``fragile`` is None, with ``fragile_reason``, where it cannot be decided; ratios and ends of intervals are
        None where they do not exist.
    """
    ours, walks = degradation(*model, overlap, settings), degradation(*walk, overlap, settings)
    undecided = partial(
        GrowthComparison,
        degradation=ours,
        walk_degradation=walks,
        walk_reads=walk_reads,
        excess_low=None,
        excess_high=None,
        fragile=None,
    )
    if ours.ratio is None or walks.ratio is None:
        who = "the model" if ours.ratio is None else "the random walk"
        reason = f"{who} makes no error on clean input, so that no growth can be measured"
        return undecided(excess=None, fragile_reason=reason)
    excess = ours.ratio - walks.ratio
    if lack := too_few_windows(len(model[0]), overlap):
        return undecided(excess=excess, fragile_reason=lack)
    low, high = excess_interval(model, walk, overlap, settings.confidence)
    growth = mean_test(model[0] - model[1], overlap)
    grows = growth.mean > 0 and growth.p_value < 1 - settings.confidence
    beyond = low > 0 if walk_reads else True
    matters = min(ours.ratio - 1, excess if walk_reads else np.inf) > settings.smallest_effect
    return GrowthComparison(
        degradation=ours,
        walk_degradation=walks,
        walk_reads=walk_reads,
        excess=excess,
        excess_low=low,
        excess_high=high,
        fragile=bool(grows and beyond and matters),
        fragile_reason=None,
    )


def excess_interval(model: Pair, walk: Pair, overlap: int, confidence: float) -> tuple[float, float]:
    """Ends of the interval of (model's ratio − walk's ratio), by the delta method.

    (D − R C) / mean(C) is what a window adds to a ratio R = mean(D) / mean(C); the mean over windows is 0.
    Subtracting C alone would take the mean clean errors for known, and claim too much where errors grow manifold.
    """
    ratios = [float(perturbed.mean() / clean.mean()) for perturbed, clean in (model, walk)]
    added = [
        (perturbed - ratio * clean) / clean.mean()
        for (perturbed, clean), ratio in zip((model, walk), ratios, strict=True)
    ]
    test = mean_test(added[0] - added[1], overlap)
    excess = ratios[0] - ratios[1]
    reach = critical_value(test.degrees, confidence) * test.standard_error
    return excess - reach, excess + reach


def degradation(perturbed: Losses, clean: Losses, overlap: int, settings: DiagnosticsSettings) -> Growth:
    """Ratio of mean losses, perturbed over clean, with its interval; None where either does not exist."""
    level = float(clean.mean())
    if level <= ROUNDING:
        return Growth(ratio=None, low=None, high=None)
    ratio = float(perturbed.mean()) / level
    ends = None
    if too_few_windows(len(clean), overlap) is None:
        ends = ratio_set(perturbed, clean, overlap, settings.confidence)
    low, high = ends or (None, None)
    return Growth(ratio=ratio, low=low, high=high)
