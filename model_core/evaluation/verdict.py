"""The verdict in plain words: the one place that puts outcomes and skills into sentences. No torch."""

from model_core.results.skill import Comparison, Outcome, SkillInterval

LOWEST_SKILL = -10.0
"""Skills below are told as that: a baseline that errs next to nothing makes any ratio to its error, and the size
of that ratio says nothing of the model."""
HEADLINES: dict[Outcome, str] = {
    "better": "The model beats the best trivial forecast",
    "worse": "The model is worse than the best trivial forecast",
    "no evidence either way": "There is no evidence that the model differs from the best trivial forecast",
    "no verdict": "There is no verdict on whether the model beats the best trivial forecast",
}
_ON_CLOSE: dict[Outcome, str] = {
    "better": "it beats the last Close",
    "worse": "it is worse than the last Close",
    "no evidence either way": "there is no evidence that it differs from the last Close",
}


def verdict_text(overall: Comparison, close: Comparison, best: str, confidence: float) -> str:
    """The outcome in plain words, from two comparisons.

    Args:
        overall: against the best baseline, whose title is ``best``; close: Close against the last Close.
    """
    opening = f"{HEADLINES[overall.outcome]}, {best}"
    if overall.outcome == "no verdict":
        measured = "" if overall.skill is None else f" The skill measured is {signed(overall.skill)}."
        return f"{opening}: {overall.reason}.{measured}"
    text = (
        f"{opening}: skill {skill_words(overall)} in squared log error ({100 * confidence:.4g} % interval). "
    )
    if overall.skill is not None and overall.skill < LOWEST_SKILL:
        text += f"Its squared error is more than {1 - LOWEST_SKILL:.0f} times the baseline's. "
    if overall.minimum_detectable_effect is not None and overall.outcome == "no evidence either way":
        text += _sensitivity(overall.minimum_detectable_effect)
    return text + _close_text(close)


def _sensitivity(effect: float) -> str:
    if effect > 1:
        return "Not even a perfect forecast, of skill 100 %, would be told from it four times out of five. "
    return (
        f"Such a test finds a skill of {percent(effect)} four times out of five; a smaller one stays unseen. "
    )


def _close_text(close: Comparison) -> str:
    if close.outcome == "no verdict":
        return f"On Close alone there is no verdict: {close.reason}."
    return f"On Close alone {_ON_CLOSE[close.outcome]} ({skill_words(close)})."


def percent(value: float | None, digits: int = 1) -> str:
    """0.0123 → ``1.2 %``; ``–`` for no value."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def signed(value: float) -> str:
    """0.0123 → ``+1.2 %``, with a real minus sign; a skill below ``LOWEST_SKILL`` is only said to be."""
    if value < LOWEST_SKILL:
        return f"below {signed(LOWEST_SKILL)}"
    return f"{100 * value:+.1f} %".replace("-", "−")


def skill_words(row: SkillInterval | None) -> str:
    """``+1.2 % [−0.3, +2.5]``; without an interval the skill alone; ``–`` for no skill at all."""
    if row is None or row.skill is None:
        return "–"
    if row.low is None or row.high is None:
        return signed(row.skill)
    low, high = (signed(end).removesuffix(" %") for end in (row.low, row.high))
    return f"{signed(row.skill)} [{low}, {high}]"
