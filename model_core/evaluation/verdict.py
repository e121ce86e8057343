"""The verdict in plain words: the one place that puts outcomes and skills into sentences. No torch."""

from typing import Any

Row = dict[str, Any]
HEADLINES = {
    "better": "The model beats the best trivial forecast",
    "worse": "The model is worse than the best trivial forecast",
    "no evidence either way": "There is no evidence that the model differs from the best trivial forecast",
    "no verdict": "There is no verdict on whether the model beats the best trivial forecast",
}
_ON_CLOSE = {
    "better": "it beats the last Close",
    "worse": "it is worse than the last Close",
    "no evidence either way": "there is no evidence that it differs from the last Close",
}


def verdict_text(overall: Row, close: Row, best: str, confidence: float) -> str:
    """The outcome in plain words, from rows of the skill table.

    Args:
        overall: against the best baseline, whose title is ``best``; close: Close against the last Close.
    """
    opening = f"{HEADLINES[overall['verdict']]}, {best}"
    if overall["verdict"] == "no verdict":
        measured = "" if overall["skill"] is None else f" The skill measured is {signed(overall['skill'])}."
        return f"{opening}: {overall['reason']}.{measured}"
    text = (
        f"{opening}: skill {skill_words(overall)} in squared log error ({100 * confidence:.4g} % interval). "
    )
    if overall["verdict"] == "no evidence either way":
        effect = 100 * overall["minimum_detectable_effect"]
        text += f"Such a test finds a skill of {effect:.1f} % four times out of five; a smaller one stays unseen. "
    return text + _close_text(close)


def _close_text(close: Row) -> str:
    if close["verdict"] == "no verdict":
        return f"On Close alone there is no verdict: {close['reason']}."
    return f"On Close alone {_ON_CLOSE[close['verdict']]} ({skill_words(close)})."


def signed(value: float) -> str:
    """0.0123 → ``+1.2 %``, with a real minus sign."""
    return f"{100 * value:+.1f} %".replace("-", "−")


def skill_words(row: Row | None) -> str:
    """``+1.2 % [−0.3, +2.5]``; without an interval the skill alone; ``–`` for no skill at all."""
    if row is None or row["skill"] is None:
        return "–"
    if row["low"] is None:
        return signed(row["skill"])
    low, high = (f"{100 * row[end]:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{signed(row['skill'])} [{low}, {high}]"
