"""What ``runs`` says of the two verdicts of a run that ended."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from model_core.artifacts import replace_json, write_manifest
from model_core.errors import ArtifactError
from model_core.evaluation.verdict import skill_words
from model_core.results.record import read_result, write_result
from model_core.results.scores import Scores
from pipelines.runs import compare_runs, list_runs, scores_sha256, show_run
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


def test_scores_that_changed_after_the_run_are_named_and_not_believed(
    ended: Ended, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A manifest that was made to fit does not help: the run's own record holds their digest."""
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_result(folder, ended.scores)
    write_manifest(folder, producer="evaluate", settings={})
    record = RECORD | {
        "name": "one",
        "artifacts": {"evaluation": str(folder)},
        "scores_sha256": scores_sha256(folder),
    }
    replace_json(ended.runs / "one" / "run.json", record)
    assert ended.scores.verdict.sentences[0] in show_run(ended.runs, "one")
    write_result(folder, ended.scores.model_copy(update={"windows": ended.scores.windows + 1}))
    write_manifest(folder, producer="evaluate", settings={})
    with pytest.raises(ArtifactError) as unshown:
        show_run(ended.runs, "one")
    with pytest.raises(ArtifactError) as not_compared:
        compare_runs(ended.runs, "other", "one")
    assert unshown.value.path == not_compared.value.path == folder / Scores.file
    assert "damaged" in list_runs(ended.runs)
    assert str(folder / Scores.file) in caplog.text
