"""What ``runs`` says of runs: their record, their two verdicts, and one sentence where there is none."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from model_core.artifacts import replace_json, write_manifest
from model_core.config.run import Settings
from model_core.errors import ArtifactError, PipelineError
from model_core.evaluation.verdict import skill_words
from model_core.results.quality import Quality
from model_core.results.record import read_result, write_result
from model_core.results.scores import Scores
from model_core.results.skill import SkillInterval
from pipelines.__main__ import main
from pipelines.review.comparison import compared
from pipelines.review.listing import list_runs, show_run
from pipelines.runners.process import RunProgress
from pipelines.runs import read_record, scores_sha256
from pipelines.state import RunState
from tests.evaluation.small_run import small_run
from tests.pipeline.ended_runs import RECORD, Ended, skills


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


def test_json_has_what_the_text_says(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> Any:
        assert main(["runs", *words, "--runs", str(ended.runs), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert {run["name"] for run in said("list")["runs"]} == {"one", "other"}
    shown = said("show", "one")
    assert shown["headline"]["skill"]["skill"] == ended.scores.headline.skill
    found = said("compare", "one", "other")
    assert [run["name"] for run in found["runs"]] == ["one", "other"]
    assert found["first_against"]["other"]["point"]["skill"] == 0


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
        compared(ended.runs, ["other", "one"])
    assert unshown.value.path == not_compared.value.path == folder / Scores.file
    assert "damaged" in list_runs(ended.runs)
    assert str(folder / Scores.file) in caplog.text


def test_a_moved_folder_of_runs_still_shows_its_results(ended: Ended, tmp_path: Path) -> None:
    """Artifacts are named as seen from the run's folder."""
    folders = {kind: small_run()[kind] for kind in ("dataset", "evaluation", "findings")}
    runs, moved = tmp_path / "here" / "runs", tmp_path / "there"
    for kind, folder in folders.items():
        shutil.copytree(folder, runs / "first" / "artifacts" / kind)
    artifacts = {kind: f"artifacts/{kind}" for kind in folders}
    for name, within in (("first", ""), ("second", "../first/")):
        (runs / name).mkdir(exist_ok=True)
        record = {"name": name, "artifacts": {kind: within + path for kind, path in artifacts.items()}}
        replace_json(runs / name / "run.json", RECORD | record)
    runs.rename(moved)
    for line in list_runs(moved).splitlines()[1:]:
        assert skill_words(ended.scores.headline) in line


def test_a_record_holds_the_headline_and_tells_of_earlier_tries(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    progress = RunProgress(sys.stdout, tmp_path, 5)
    RunState(folder, Settings(), "sample://nasdaq", progress).going_on()
    failing = RunState(folder, Settings(), "sample://nasdaq", progress)
    progress.failed = "train"
    failing.ended_early(PipelineError("no luck"), 1.0)
    last = RunState(folder, Settings(), "sample://nasdaq", progress)
    last.succeeded({kind: small_run()[kind] for kind in ("dataset", "evaluation", "findings")}, 2.0)
    record = read_record(folder / "run.json")
    assert [(each.status, each.failed_step) for each in record.attempts] == [
        ("interrupted", None),
        ("failed", "train"),
    ]
    scores = read_result(Scores, small_run()["evaluation"])
    assert record.headline is not None
    assert record.headline.skill == SkillInterval(
        **scores.headline.model_dump(include={"skill", "low", "high"})
    )
    assert record.headline.source_sha256 == read_result(Quality, small_run()["dataset"]).source.sha256
    assert not any(path.startswith("/") for path in record.artifacts.values())
    RunState(folder, Settings(), "sample://nasdaq", progress).going_on()
    assert read_record(folder / "run.json").attempts == ()


@pytest.mark.parametrize("command", [["list"], ["show", "a"], ["compare", "a", "b"], ["open", "a"]])
def test_a_missing_folder_of_runs_is_one_sentence(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--json"]):
        assert main(["runs", *command, "--runs", str(tmp_path / "nowhere"), *more]) == 2
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        assert "there is no folder" in told.err


@pytest.mark.parametrize("command", [["site", "out"], ["serve"], ["reindex"], ["list"]])
def test_a_command_makes_no_folder_for_runs_that_are_not_there(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs", *command, "--runs", "nowhere"]) == 2
    (tmp_path / "file").touch()
    assert main(["runs", *command, "--runs", "file"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "words", [["site", ""], ["download", "one", ""], ["publish", "one", ""], ["list", "--runs", ""]]
)
def test_an_empty_path_is_not_taken_for_this_folder(
    words: list[str], ended: Ended, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a variable of the shell that was never set; files would go wherever one is."""
    monkeypatch.chdir(ended.runs)
    before = sorted(ended.runs.rglob("*"))
    with pytest.raises(SystemExit) as refused:
        main(["runs", *words])
    assert refused.value.code == 2
    assert "is empty; write . for the folder you are in" in capsys.readouterr().err
    assert sorted(ended.runs.rglob("*")) == before
