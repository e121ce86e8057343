"""Whether a model may take the place of another: only if every comparison has a verdict, and none is "worse"."""

from collections.abc import Mapping

from model_core.evaluation.paired import Paired
from model_core.evaluation.verdict import DISTRIBUTION, POINT, skill_words
from model_core.results.scores import Scores
from model_core.results.skill import Comparison, Outcome

_PASSES: frozenset[Outcome] = frozenset({"better", "no evidence either way"})
"""``no verdict`` does not pass: nobody knows then whether the model is worse."""


def against_baselines(scores: Scores) -> tuple[str, ...]:
    """Sentences on why a model should not be used, from its verdicts against the best baselines; empty if it passes."""
    judged = [scores.verdict, *([] if scores.verdict.distribution is None else [scores.verdict.distribution])]
    return tuple(each.text for each in judged if each.outcome not in _PASSES)


def against_champion(pair: Paired, champion: str) -> tuple[str, ...]:
    """The same from a comparison with the champion, which the sentences call ``champion``."""
    if pair.point is None:
        return (f"It cannot be compared with {champion}: {pair.reason}.",)
    rows: Mapping[str, Comparison | None] = {POINT: pair.point, DISTRIBUTION: pair.distribution}
    return tuple(
        _sentence(what, row, champion)
        for what, row in rows.items()
        if row is not None and row.outcome not in _PASSES
    )


def _sentence(what: str, row: Comparison, champion: str) -> str:
    if row.outcome == "worse":
        return f"The {what} is worse than that of {champion}: skill {skill_words(row)}."
    return f"There is no verdict on whether the {what} is worse than that of {champion}: {row.reason}."
