"""What the sky is worth to the model: the rows of the table, and the caption that its numbers make."""

from collections.abc import Iterator
from dataclasses import dataclass

from model_core.errors import counted
from model_core.report.captions import of_outcomes
from model_core.report.evidence import Evidence
from model_core.results.importance import SkyImportance, WaveImportance
from model_core.results.skill import Comparison

_DAYS = {
    "all": "the whole sky",
    "known": "the sky of the known days",
    "ahead": "the sky of the horizon",
}


@dataclass(frozen=True)
class WorthRow:
    """One row of the table: a part of the sky, in words, and what it is worth."""

    title: str
    waves: int
    point: Comparison
    distribution: Comparison | None


def importance_of(evidence: Evidence) -> SkyImportance | None:
    """What the evaluation measured; None if it did not."""
    return evidence.explanation.importance if evidence.explanation else None


def worth_section(evidence: Evidence) -> dict[str, object] | None:
    """What the page shows of it, by the names of the template; None: no such section."""
    found = importance_of(evidence)
    if found is None:
        return None
    return {"rows": worth_rows(found), "caption": worth_caption(found, evidence.scores.confidence)}


def worth_rows(found: SkyImportance) -> list[WorthRow]:
    """One row for each part, in the order of the parts."""
    return [WorthRow(_title(part), part.waves, part.point, part.distribution) for part in found.parts]


def worth_comparisons(found: SkyImportance | None) -> Iterator[Comparison]:
    """Every comparison of the table, row by row."""
    for part in found.parts if found else ():
        yield part.point
        if part.distribution is not None:
            yield part.distribution


def worth_caption(found: SkyImportance, confidence: float) -> str:
    """How it was measured, what the outcomes are, and how many chance alone would give."""
    rows = list(worth_comparisons(found))
    judged = [row for row in rows if row.outcome != "no verdict"]
    draws = "" if found.draws == 1 else f", {found.draws} times each"
    said = (
        f"In {counted(found.windows, 'test window')} a part of the sky came from other windows, "
        f"{counted(found.block, 'neighbor')} at a time{draws}. The skill is the share of the error with those waves "
        f"that the true ones save; above 0 they help. With the true waves the model is "
        f"{of_outcomes([row.outcome for row in rows])}"
    )
    if not judged:
        return f"{said}."
    chance = (1 - confidence) * len(judged)
    return f"{said}; by chance alone about {chance:.0f} of {len(judged)} would be called better or worse."


def _title(part: WaveImportance) -> str:
    match part.group:
        case "days":
            return _DAYS.get(part.name, part.name)
        case "quantity":
            return f"every {part.name}"
        case "body":
            return part.name
