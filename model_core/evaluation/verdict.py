"""The verdict in plain words: only this module puts outcomes and skills into sentences. No torch."""

from model_core.results.departure import Departure, TargetDeparture
from model_core.results.skill import Comparison, Outcome, SkillInterval
from model_core.results.training import TrainResults

LOWEST_SKILL = -10.0
"""A lower skill is only said to be lower: next to a baseline that hardly errs a ratio of errors takes any size, which
says nothing about the model."""
LARGEST_SHARE = 10.0
"""Likewise of a departure from the base."""
HARDLY_MOVES = 0.05
"""Share of the real movement. A forecast that is moved by so much at random has a squared error that is larger by its
square, a quarter of a percent: no perturbation of an input can show in such an error."""
OUTCOMES: dict[Outcome, str] = {
    "better": "better than the best baseline",
    "worse": "worse than the best baseline",
    "no evidence either way": "no evidence of a difference from the best baseline",
    "no verdict": "no verdict",
}
"""An outcome in a headline."""
POINT, DISTRIBUTION = "point forecast", "distribution of Close"
_OPENINGS: dict[Outcome, str] = {
    "better": "The {what} is better than the best baseline",
    "worse": "The {what} is worse than the best baseline",
    "no evidence either way": "There is no evidence that the {what} differs from the best baseline",
    "no verdict": "There is no verdict on whether the {what} is better than the best baseline",
}
_ON_CLOSE: dict[Outcome, str] = {
    "better": "it is better than the last Close",
    "worse": "it is worse than the last Close",
    "no evidence either way": "there is no evidence that it differs from the last Close",
}


def headline(what: str, outcome: Outcome) -> str:
    """``Point forecast: no verdict.``"""
    return f"{what[0].upper()}{what[1:]}: {OUTCOMES[outcome]}."


def point_text(overall: Comparison, best: str, confidence: float) -> str:
    """The outcome for the point forecast, against the best baseline, whose title is ``best``."""
    return _judged(POINT, overall, best, "squared log error", confidence)


def distribution_text(close: Comparison, best: str, confidence: float) -> str:
    """The outcome for the distribution of Close, against the best baseline, whose title is ``best``."""
    return _judged(DISTRIBUTION, close, best, "CRPS", confidence)


def _judged(what: str, row: Comparison, best: str, loss: str, confidence: float) -> str:
    opening = f"{_OPENINGS[row.outcome].format(what=what)}, {best}"
    if row.outcome == "no verdict":
        measured = "" if row.skill is None else f" (the skill measured is {signed(row.skill)})"
        return f"{opening}: {row.reason}{measured}."
    notes = [f"{100 * confidence:.4g} % interval"]
    if row.skill is not None and row.skill < LOWEST_SKILL:
        notes.append(f"its loss is more than {1 - LOWEST_SKILL:.0f} times the baseline's")
    # Where the two forecasts are one and the same, nothing is left to find.
    if row.minimum_detectable_effect:
        notes.append(_detectable(row.minimum_detectable_effect))
    return f"{opening}: skill {skill_words(row)} in {loss} ({'; '.join(notes)})."


def _detectable(effect: float) -> str:
    if effect > 1:
        return "not even a perfect forecast, of skill 100 %, would be distinguished from it four times out of five"
    return f"a skill of {percent(effect)} would be found four times out of five"


def close_text(close: Comparison) -> str:
    """The outcome for Close alone, against the last Close."""
    if close.outcome == "no verdict":
        return f"On Close alone, against the last Close, there is no verdict: {close.reason}."
    return f"On Close alone {_ON_CLOSE[close.outcome]}: skill {skill_words(close)} in squared log error."


def departure_text(departure: Departure) -> str:
    """Whether the model does anything beyond its base, at the horizon."""
    close, day = departure.targets["Close"], f"Close in {departure.step} days"
    base = "the structured random walk that it starts from"
    if close.share is None:
        return f"Whether the model does anything cannot be said: {close.reason}."
    if close.size == 0 and not departure.width:
        return f"The model does nothing: its forecast of {day} is {base}."
    width = "" if departure.width is None else f"; {_width_text(departure.width)}"
    if close.size == 0:
        return f"The point forecast of {day} is {base}{width}."
    return (
        f"The point forecast of {day} departs from {base} by {share_words(close.share)} of the real movement, "
        f"{_agreement(close)}{width}."
    )


def _agreement(close: TargetDeparture) -> str:
    if close.correlation is None:
        return f"and whether that goes with the market cannot be said: {close.reason}"
    if close.low is None or close.high is None:
        return (
            f"with a correlation of {correlation_words(close)} of which nothing can be said: {close.reason}"
        )
    said = f"correlation {correlation_words(close)}"
    if close.low > 0:
        return f"in the direction of what came ({said})"
    if close.high < 0:
        return f"against the direction of what came ({said})"
    return f"with no evidence that this goes with what came ({said})"


def _width_text(width: float) -> str:
    if width == 0:
        return "its width is that of the base"
    return f"its width differs from that of the base by {share_words(width)}"


def training_text(training: TrainResults) -> str | None:
    """A warning that training hardly helped; None if an epoch after the first was the best, or could have been."""
    if training.lost_best_epoch is not None:
        return None
    if training.best_epoch == 0:
        return (
            "No epoch made validation better, so this is the untrained model: the base that it starts from."
        )
    if training.best_epoch == 1 and training.last_epoch > 1:
        return f"The best epoch is the first of {training.last_epoch}: none after it made validation better."
    return None


def hardly_moves(departure: Departure) -> bool:
    """Whether no input, exchanged as a whole, moves the forecast by more than ``HARDLY_MOVES``."""
    shares = [response.share for response in departure.inputs.values()]
    return all(share is not None and share < HARDLY_MOVES for share in shares)


def share_words(share: float | None) -> str:
    """0.0312 → ``3.1 %``; a share above ``LARGEST_SHARE`` is only said to be."""
    if share is not None and share > LARGEST_SHARE:
        return f"more than {percent(LARGEST_SHARE, 0)}"
    return percent(share)


def correlation_words(departure: TargetDeparture) -> str:
    """``−0.02 [−0.11, +0.07]``, without an interval ``−0.02``, or ``–``."""
    if departure.correlation is None:
        return "–"
    if departure.low is None or departure.high is None:
        return _signed_hundredths(departure.correlation)
    low, high = map(_signed_hundredths, (departure.low, departure.high))
    return f"{_signed_hundredths(departure.correlation)} [{low}, {high}]"


def _signed_hundredths(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """0.0123 → ``1.2 %``; ``–`` for no value."""
    if value is None:
        return "–"
    text = f"{100 * value:.{digits}f}"
    # Not −0: what rounds to nothing has no sign.
    return f"{text.removeprefix('-') if float(text) == 0 else text.replace('-', '−')} %"


def signed(value: float) -> str:
    """0.0123 → ``+1.2 %``, with a real minus sign; a skill below ``LOWEST_SKILL`` is only said to be."""
    if value < LOWEST_SKILL:
        return f"below {signed(LOWEST_SKILL)}"
    text = f"{100 * value:+.1f} %"
    return "0.0 %" if text in ("+0.0 %", "-0.0 %") else text.replace("-", "−")


def skill_words(row: SkillInterval | None) -> str:
    """``+1.2 % [−0.3, +2.5]``; without an interval the skill alone; ``–`` for no skill at all."""
    if row is None or row.skill is None:
        return "–"
    if row.low is None or row.high is None:
        return signed(row.skill)
    low, high = (signed(end).removesuffix(" %") for end in (row.low, row.high))
    return f"{signed(row.skill)} [{low}, {high}]"
