"""What the site draws of a run: the course of its training, and its curves beside another's."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from model_core.artifacts import sha256_of
from model_core.evaluation.verdict import skill_words
from model_core.results.course import courses_of, read_courses
from model_core.results.record import read_result
from model_core.results.training import MemberResults, TrainResults
from pipelines.site.build import build_site
from tests.evaluation.small_run import small_run
from tests.pipeline.ended_runs import Ended


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
    ended.change("one", artifacts={"model": str(damaged)})
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
