"""Which files of a run each command reads."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from model_core.artifacts import MANIFEST
from model_core.results.findings import Findings
from model_core.results.scores import Scores
from model_core.results.tables import HISTORY, PREDICTIONS
from model_core.results.training import TrainResults

Wanted = Sequence[str]
"""Patterns of names such as ``evaluation/*``; a file that fits one of them is wanted."""

SCORES: Wanted = (f"evaluation/{MANIFEST}", f"evaluation/{Scores.file}")
"""How good a run is."""
COURSE: Wanted = (f"model/{MANIFEST}", f"model/{HISTORY.file}", f"model/{TrainResults.file}")
"""How the training went."""
EXPORTED: Wanted = (
    *SCORES,
    *COURSE,
    f"findings/{MANIFEST}",
    f"findings/{Findings.file}",
    "report.html",
    "summary.md",
    "settings.yaml",
)
COMPARED: Wanted = (*SCORES, f"evaluation/{PREDICTIONS.file}")


def fits(name: str, wanted: Wanted) -> bool:
    """Whether the file ``name`` is wanted."""
    return any(fnmatchcase(name, pattern) for pattern in wanted)
