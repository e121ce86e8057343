"""What ``runs`` says of the two verdicts of a run that ended."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from model_core.artifacts import replace_json
from model_core.evaluation.verdict import skill_words
from model_core.results.record import read_result
from model_core.results.scores import Scores
from pipelines.runs import compare_runs, list_runs, show_run
from tests.evaluation.small_run import small_run

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


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    evaluation = small_run()["evaluation"]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        record = RECORD | {"name": name, "artifacts": {"evaluation": str(evaluation)}}
        replace_json(tmp_path / name / "run.json", record)
    return Ended(tmp_path, read_result(Scores, evaluation))


def skills(scores: Scores) -> list[str]:
    found = [skill_words(scores.headline), skill_words(scores.calibration.headline)]
    assert all("[" in words for words in found)
    return found


def test_a_list_has_both_skills_of_a_run_in_their_columns(ended: Ended) -> None:
    heading, line, _ = list_runs(ended.runs).splitlines()
    point, distribution = skills(ended.scores)
    assert line.index(point) == heading.index("skill of the point")
    assert line.index(distribution, line.index(point) + 1) == heading.index("of the distribution")
    assert line.index("sample://") == heading.index("source")


def test_one_run_is_shown_with_every_sentence_of_its_verdict(ended: Ended) -> None:
    shown = show_run(ended.runs, "one")
    assert ended.scores.verdict.distribution is not None
    for sentence in ended.scores.verdict.sentences:
        assert sentence in shown


def test_two_runs_are_compared_by_both_skills(ended: Ended) -> None:
    lines = compare_runs(ended.runs, "one", "other").splitlines()
    for what, words in zip(("point forecast", "distribution of Close"), skills(ended.scores), strict=True):
        (line,) = [line for line in lines if line.startswith(f"skill of the {what}")]
        assert line.count(words) == 2
