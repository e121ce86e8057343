"""Two runs that have ended, in a folder."""

from dataclasses import dataclass
from pathlib import Path

from model_core.artifacts import read_json, replace_json
from model_core.evaluation.verdict import skill_words
from model_core.results.record import read_result
from model_core.results.scores import Scores

RECORD = {
    "schema_version": 1,
    "source": "sample://nasdaq",
    "started_at": "2026-01-01T00:00:00+00:00",
    "status": "succeeded",
    "code_version": "0",
    "settings": {},
}


@dataclass(frozen=True)
class Ended:
    """A folder of two runs, of which both are the small run, and its scores."""

    runs: Path
    scores: Scores

    def change(self, name: str, **changes: object) -> None:
        """Write the record of one of them anew, with ``changes``."""
        path = self.runs / name / "run.json"
        replace_json(path, read_json(path) | changes)


def ended_runs(runs: Path) -> Ended:
    """The two of them in ``runs``."""
    from tests.evaluation.small_run import small_run  # which imports torch

    folders = {kind: str(small_run()[kind]) for kind in ("dataset", "model", "evaluation", "findings")}
    for name in ("one", "other"):
        (runs / name).mkdir()
        replace_json(runs / name / "run.json", RECORD | {"name": name, "artifacts": folders})
    return Ended(runs, read_result(Scores, Path(folders["evaluation"])))


def skills(scores: Scores) -> list[str]:
    """How the two of a run are written: of the point forecast and of the distribution."""
    found = [skill_words(scores.headline), skill_words(scores.calibration.headline)]
    assert all("[" in words for words in found)
    return found
