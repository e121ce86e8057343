"""How much better the model is than a baseline, and how sure that is."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from model_core.results.record import Count, Finite, Interval, Words

Outcome = Literal["better", "worse", "no evidence either way", "no verdict"]


class SkillInterval(Interval):
    """A skill and the ends of its confidence interval."""

    skill: Finite | None
    """1 − mean loss of the model / mean loss of the baseline; null if the baseline makes no error."""


class Comparison(SkillInterval):
    """The model against one baseline, on losses per window; without a verdict all that would make one is null."""

    outcome: Outcome
    """``better`` if the whole interval lies above 0, ``worse`` if below."""
    reason: Words | None
    """Why there is no verdict."""
    dm_statistic: Finite | None
    """Diebold–Mariano; negative where the model is better."""
    dm_p_value: Finite | None
    """Two-sided, from Student's t with ``degrees_of_freedom``."""
    degrees_of_freedom: Count | None = None
    minimum_detectable_effect: Finite | None
    """Skill that such a test would find with 80 % power."""

    @model_validator(mode="after")
    def _reason_if_undecided(self) -> Self:
        if self.outcome == "no verdict" and self.reason is None:
            raise ValueError("a comparison without a verdict needs a reason")
        return self


def need(names: tuple[str, ...], found: Mapping[str, object], what: str) -> None:
    """Raise ``ValueError`` if one of ``names`` is not in ``found``; ``what`` says what they are."""
    for name in names:
        if name not in found:
            raise ValueError(f"{what} {name} is missing")
