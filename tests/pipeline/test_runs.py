"""What ``runs`` says of runs: their record, their two verdicts, and one beside another."""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model_core.artifacts import read_json, replace_json, sha256_of, write_manifest
from model_core.config.run import Settings
from model_core.errors import ArtifactError, PipelineError, UserError
from model_core.evaluation.paired import paired
from model_core.evaluation.verdict import skill_words
from model_core.results.course import courses_of, read_courses
from model_core.results.quality import Quality
from model_core.results.record import read_result, write_result
from model_core.results.scores import Scores
from model_core.results.skill import SkillInterval
from model_core.results.training import MemberResults, TrainResults
from pipelines.__main__ import main
from pipelines.review.comparison import compared, comparison_text, pair_sentences
from pipelines.review.listing import list_runs, show_run
from pipelines.runners.process import RunProgress
from pipelines.runs import find_run, headline_in, read_record, scores_sha256
from pipelines.site.build import build_site
from pipelines.state import RunState
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
    folders = {kind: str(small_run()[kind]) for kind in ("dataset", "model", "evaluation", "findings")}
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        record = RECORD | {"name": name, "artifacts": folders}
        replace_json(tmp_path / name / "run.json", record)
    return Ended(tmp_path, read_result(Scores, Path(folders["evaluation"])))


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
    lines = comparison_text(compared(ended.runs, ["one", "other"])).splitlines()
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


@pytest.mark.parametrize("names", [["one"], ["one", "one"], [*"abcdefghi"]])
def test_too_few_too_many_or_equal_runs_are_not_compared(names: list[str], ended: Ended) -> None:
    with pytest.raises(UserError):
        compared(ended.runs, names)


def test_a_comparison_keeps_the_order_shows_failed_runs_and_only_settings_that_differ(ended: Ended) -> None:
    settings = {"training": {"seed": 1, "train_epochs": 2}}
    replace_json(ended.runs / "one" / "run.json", _with(ended, "one", settings=settings))
    settings = {"training": {"seed": 7, "train_epochs": 2}}
    failed = {"status": "failed", "failed_step": "train", "reason": "no memory", "artifacts": {}}
    replace_json(ended.runs / "other" / "run.json", _with(ended, "other", settings=settings, **failed))
    found = compared(ended.runs, ["other", "one"])
    assert [record.name for record in found.runs] == ["other", "one"]
    assert found.settings == {"training.seed": (7, 1)}
    assert [headline is None for headline in found.headlines] == [True, False]
    lines = comparison_text(found).splitlines()
    assert any(line.split() == ["state", "failed", "succeeded"] for line in lines)
    assert "other: no memory" in lines


def test_runs_on_other_data_or_windows_are_compared_with_a_warning(ended: Ended) -> None:
    assert compared(ended.runs, ["one", "other"]).warnings == ()
    headline = headline_in(ended.runs, find_run(ended.runs, "one"))
    assert headline is not None
    changed = headline.model_copy(update={"source_sha256": "f" * 64, "windows": headline.windows + 1})
    record = _with(ended, "other", headline=changed.model_dump(mode="json"))
    replace_json(ended.runs / "other" / "run.json", record)
    table, windows = compared(ended.runs, ["one", "other"]).warnings
    assert "f" * 12 in table
    assert str(headline.windows + 1) in windows


def test_a_run_paired_with_itself_has_no_difference(ended: Ended) -> None:
    pair = compared(ended.runs, ["one", "other"]).pairs["other"]
    assert pair.windows == ended.scores.windows
    assert pair.point is not None
    assert (pair.point.skill, pair.point.low, pair.point.high) == (0.0, 0.0, 0.0)
    point, distribution = pair_sentences("one", "other", pair)
    assert point.startswith(
        "The point forecast of one has the same squared log error as that of other in all "
    )
    assert distribution.startswith("The distribution of Close of one has the same pinball loss ")


def test_columns_of_a_comparison_stand_below_each_other_and_a_very_long_value_moves_its_own_line(
    ended: Ended,
) -> None:
    long = {"columns": "x" * 30, "source": "y" * 200}
    for name, settings in (("one", long), ("other", {"columns": "", "source": ""})):
        replace_json(ended.runs / name / "run.json", _with(ended, name, settings=settings))
    text = comparison_text(compared(ended.runs, ["one", "other"])).splitlines()
    lines = {line[:40].strip(): line for line in text}
    ends = {len(lines[what]) for what in ("", "state", "columns", "MAE log", "fragile")}
    assert ends == {40 + 2 * (2 + 30)}
    assert len(lines["source"]) > 240


def test_a_pair_is_judged_on_the_windows_that_both_scored(tmp_path: Path) -> None:
    """Half the error everywhere is a quarter of the squared error, whatever the windows."""
    frame = pd.read_parquet(small_run()["evaluation"] / "predictions.parquet")
    names = [name for name in map(str, frame) if name.endswith("_forecast")]
    truth = frame[[name.replace("_forecast", "_true") for name in names]].to_numpy()
    better = frame.copy()
    better[names] = (frame[names].to_numpy() + truth) / 2
    kept = sorted(frame["anchor_date"].unique())[3:]
    folders = []
    for name, content in (("all", frame), ("better", better[better["anchor_date"].isin(kept)])):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        content.to_parquet(folders[-1] / "predictions.parquet")
        write_manifest(folders[-1], producer="evaluate", settings={})
    pair = paired(folders[1], folders[0], 0.95)
    assert pair.windows == len(kept)
    assert pair.point is not None
    assert pair.point.skill == pytest.approx(0.75)


def test_a_site_compares_runs_with_their_curves_and_lists_their_files(ended: Ended, tmp_path: Path) -> None:
    build_site(ended.runs, tmp_path / "out", [["one", "other"]])
    text = (tmp_path / "out/compare/one+other.html").read_text(encoding="utf-8")
    assert text.count("<polyline") == 2 * 3, "two curves in each of three figures"
    assert "The point forecast of one has the same squared log error as that of other" in text
    assert skill_words(ended.scores.headline) in text
    page = (tmp_path / "out/run/one/index.html").read_text(encoding="utf-8")
    files = re.findall(r"<tr><td>([^<]*)</td><td class=\"number\">[\d,]+</td><td><code>(\w{64})<", page)
    assert ("evaluation/scores.json", sha256_of(small_run()["evaluation"] / "scores.json")) in files
    assert "runs download one FOLDER" in page


def test_the_page_of_a_run_shows_how_its_training_went_or_says_why_it_does_not(
    ended: Ended, tmp_path: Path
) -> None:
    """Both losses by epoch are those of the training's own record."""
    page = tmp_path / "out/run/one/index.html"
    build_site(ended.runs, tmp_path / "out")
    (course,) = read_courses(small_run()["model"])
    losses = [*course.epochs["train_loss"], *course.validated.values()]
    lowest, _, highest = re.findall(r'text-anchor="end">(\d+\.\d+)</text>', page.read_text(encoding="utf-8"))
    assert float(lowest) == pytest.approx(min(losses), abs=0.01)
    assert float(highest) == pytest.approx(max(losses), abs=0.01)
    assert page.read_text(encoding="utf-8").count("<polyline") == 2
    damaged = tmp_path / "model"
    shutil.copytree(small_run()["model"], damaged)
    (damaged / "history.parquet").write_bytes(b"")
    record = _with(ended, "one", artifacts={"model": str(damaged)})
    replace_json(ended.runs / "one" / "run.json", record)
    build_site(ended.runs, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "<polyline" not in text
    assert f"is not shown: {damaged / 'history.parquet'} was changed after it was written" in text


def test_of_several_models_each_has_a_course_of_its_own() -> None:
    training = read_result(TrainResults, small_run()["model"])
    member = MemberResults(
        seed=1,
        best_epoch=2,
        best_validation_loss=0.5,
        best_validation_loss_read_back=None,
        untrained_validation_loss=0.9,
        lost_best_epoch=None,
        last_epoch=2,
        stopped_because="all epochs done",
    )
    other = member.model_copy(update={"best_epoch": 0, "untrained_validation_loss": None})
    history = pd.DataFrame({"epoch": [1, 2, 1, 2], "validation_loss": [0.7, 0.5, 0.8, 0.9]})
    courses = courses_of(history, training.model_copy(update={"members": (member, other)}))
    assert [dict(course.validated) for course in courses] == [{0: 0.9, 1: 0.7, 2: 0.5}, {1: 0.8, 2: 0.9}]
    assert [course.best_epoch for course in courses] == [2, 0]


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


def _with(ended: Ended, name: str, **changes: object) -> dict[str, object]:
    return read_json(ended.runs / name / "run.json") | changes
