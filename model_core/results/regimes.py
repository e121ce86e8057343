"""In which years and in which markets a forecast was better than the best baseline, and in which it was not."""

from model_core.results.record import Count, Record
from model_core.results.skill import Comparison


class RegimeSkill(Record):
    """The model on some of the test windows, against the baselines that are best on all of them."""

    windows: Count
    point: Comparison
    """All targets, in squared log error, against ``best_baseline``."""
    distribution: Comparison | None
    """Close, in CRPS, against ``calibration.best_baseline``; null for a head that forecasts a point only."""


class Regimes(Record):
    """The test windows cut into years, and into thirds by how wild the market was at their anchor."""

    by_year: dict[str, RegimeSkill]
    """By the year of the first day that is forecast."""
    by_volatility: dict[str, RegimeSkill]
    """``calm``, ``medium`` and ``wild``: thirds of the windows by their recent range."""
