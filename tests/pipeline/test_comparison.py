"""One run beside another: their settings, skills and windows, and which of two is better where both scored."""

from pathlib import Path

import pandas as pd
import pytest

from model_core.artifacts import write_manifest
from model_core.errors import UserError
from model_core.evaluation.paired import paired
from pipelines.review.comparison import compared, comparison_text, pair_sentences
from pipelines.runs import find_run, headline_in
from tests.evaluation.small_run import small_run
from tests.pipeline.ended_runs import Ended, skills


def test_two_runs_are_compared_by_both_skills(ended: Ended) -> None:
    lines = comparison_text(compared(ended.runs, ["one", "other"])).splitlines()
    for what, words in zip(("point forecast", "distribution of Close"), skills(ended.scores), strict=True):
        (line,) = [line for line in lines if line.startswith(f"skill of the {what}")]
        assert line.count(words) == 2


@pytest.mark.parametrize("names", [["one"], ["one", "one"], [*"abcdefghi"]])
def test_too_few_too_many_or_equal_runs_are_not_compared(names: list[str], ended: Ended) -> None:
    with pytest.raises(UserError):
        compared(ended.runs, names)


def test_a_comparison_keeps_the_order_shows_failed_runs_and_only_settings_that_differ(ended: Ended) -> None:
    settings = {"training": {"seed": 1, "train_epochs": 2}}
    ended.change("one", settings=settings)
    settings = {"training": {"seed": 7, "train_epochs": 2}}
    failed = {"status": "failed", "failed_step": "train", "reason": "no memory", "artifacts": {}}
    ended.change("other", settings=settings, **failed)
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
    ended.change("other", headline=changed.model_dump(mode="json"))
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
        ended.change(name, settings=settings)
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
