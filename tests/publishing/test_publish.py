"""Publishing a run: whoever finds its record finds all of it, the thousandth costs what the second does, and what was
cut off is completed by the same call."""

import json
import re
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_core.artifacts import read_json, sha256_of
from model_core.errors import ArtifactError, StoreError, UploadError, UserError
from model_core.publishing.index import MOST_LOOSE, Index
from model_core.publishing.pieces import unpacked
from model_core.publishing.publish import indexed_records, publish_run, reindex, withdraw_run
from model_core.publishing.record import ListedFile, record_in
from model_core.store.locate import open_store
from pipelines.__main__ import main
from pipelines.review.listing import list_runs
from pipelines.review.publishing import publish
from pipelines.runners.leaving import publish_ended, publish_failed
from pipelines.runners.process import RunProgress
from tests.evaluation.small_run import small_run
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.hostile_s3 import HostileS3

SHELF = "s3://bucket/team/runs"


@pytest.fixture(name="runs")
def _runs(tmp_path: Path) -> Path:
    """A run that left everything, and one that failed."""
    runs = tmp_path / "secret place" / "runs"
    for kind, folder in small_run().items():
        shutil.copytree(folder, runs / "whole" / kind)
    for name in ("report.html", "summary.md", "settings.yaml"):
        (runs / "whole" / name).write_text(name, encoding="utf-8")
    artifacts = {kind: kind for kind in small_run()} | {"report": "report.html"}
    table = str(tmp_path / "secret place" / "prices.csv")
    write_record(runs, synthetic_record(0, name="whole", source=table, artifacts=artifacts))
    failed = synthetic_record(1, name="failed", status="failed", failed_step="train", headline=None)
    write_record(runs, failed.model_copy(update={"reason": f"no room in {runs}"}))
    (runs / "failed/report.html").write_text(f"the log said {runs}", encoding="utf-8")
    return runs


def files(folder: Path, *names: str) -> list[ListedFile]:
    paths = [folder / name for name in names]
    return [
        ListedFile(name, path, path.stat().st_size, sha256_of(path))
        for name, path in zip(names, paths, strict=True)
    ]


def test_a_published_run_is_its_record_with_every_file_beside_it_and_the_dataset_only_if_asked(
    runs: Path, s3: HostileS3
) -> None:
    publish(runs, "whole", SHELF)
    record = record_in(open_store(SHELF), "whole")
    assert record is not None
    there = {key.removeprefix("team/runs/whole/") for key in s3.objects if "/whole/" in key}
    assert set(record.files) == there - {"run.json"}
    assert {"report.html", "settings.yaml", "evaluation/predictions.parquet", "model/manifest.json"} <= there
    assert not any(name.startswith("dataset/") for name in there)
    for name, file in record.files.items():
        assert s3.objects[f"team/runs/whole/{name}"] == (runs / "whole" / name).read_bytes()
        assert sha256_of(runs / "whole" / name) == file.sha256
    assert {kind: record.artifacts[kind] for kind in ("evaluation", "report")} == {
        "evaluation": "evaluation",
        "report": "report.html",
    }
    assert "dataset" not in record.artifacts
    assert record.headline == synthetic_record(0).headline
    publish(runs, "whole", SHELF, dataset=True)
    assert "team/runs/whole/dataset/manifest.json" in s3.objects


def test_nothing_published_tells_where_files_lay_and_a_failed_run_keeps_its_page_and_reason_to_itself(
    runs: Path, tmp_path: Path
) -> None:
    for name in ("whole", "failed"):
        publish(runs, name, str(tmp_path / "shelf"))
    for path in (tmp_path / "shelf").rglob("*"):
        if path.is_file():
            assert b"secret place" not in path.read_bytes(), path
    record = read_json(tmp_path / "shelf/failed/run.json")
    assert (record["status"], record["failed_step"], record["reason"]) == ("failed", "train", "")
    assert not (tmp_path / "shelf/failed/report.html").exists()
    assert [line.split()[0] for line in list_runs(tmp_path / "shelf").splitlines()[1:]] == ["failed", "whole"]


def test_the_record_comes_after_all_files_and_the_index_after_the_record(runs: Path, s3: HostileS3) -> None:
    order: list[str] = []
    s3.on_put = lambda key: order.append(key.removeprefix("team/runs/"))
    publish(runs, "whole", SHELF)
    record, *rest = order[order.index("whole/run.json") :]
    assert record == "whole/run.json"
    assert not any(key.startswith("whole/") for key in rest)
    assert rest[0].startswith(".index/")
    assert rest[1:] == ["index.html"]


def test_the_hundredth_run_costs_as_many_requests_as_the_second(s3: HostileS3) -> None:
    def cost(number: int) -> tuple[int, int]:
        del s3.requests[:]
        puts: list[str] = []
        s3.on_put = puts.append
        publish_run(SHELF, synthetic_record(number), [])
        return len(s3.requests), len([key for key in puts if not key.endswith("/run.json")])

    costs = [cost(number) for number in range(100)]
    assert max(puts for _, puts in costs) <= 3
    assert costs[1][1] == costs[97][1] == 2
    # From one fold of the index to the next, a publisher reads what was not folded yet.
    period = MOST_LOOSE + 1
    assert costs[period + 1 : 2 * period] == costs[2 * period + 1 : 3 * period]
    assert len(indexed_records(open_store(SHELF), Index(open_store(SHELF)))) == 100


def test_publishers_at_the_same_time_lose_nothing_and_the_page_has_all_of_them(s3: HostileS3) -> None:
    def publish_some(publisher: int) -> None:
        for number in range(4):
            publish_run(SHELF, synthetic_record(number, name=f"p{publisher}-{number}"), [])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publish_some, range(4)))
    names = {f"p{publisher}-{number}" for publisher in range(4) for number in range(4)}
    store = open_store(SHELF)
    assert {record.name for record in indexed_records(store, Index(store))} == names
    assert set(re.findall(rb"<td>(p\d-\d)</td>", s3.objects["team/runs/index.html"])) == {
        name.encode() for name in names
    }


def test_the_same_again_sends_no_file_twice_and_a_changed_file_anew(tmp_path: Path, s3: HostileS3) -> None:
    (tmp_path / "a").write_text("one", encoding="utf-8")
    (tmp_path / "b").write_text("two", encoding="utf-8")
    sent: list[str] = []
    s3.on_put = sent.append
    publish_run(SHELF, synthetic_record(0), files(tmp_path, "a", "b"))
    del sent[:]
    publish_run(SHELF, synthetic_record(0), files(tmp_path, "a", "b"))
    assert [key for key in sent if key.endswith(("/a", "/b"))] == []
    (tmp_path / "b").write_text("new", encoding="utf-8")
    publish_run(SHELF, synthetic_record(0), files(tmp_path, "a", "b"))
    assert [key for key in sent if key.endswith(("/a", "/b"))] == ["team/runs/run-0000/b"]


def test_a_file_that_is_replaced_is_never_taken_for_one_of_the_record_before(
    tmp_path: Path, s3: HostileS3
) -> None:
    """The publisher is cut off between a changed file and its record: no record is better than a wrong one."""
    (tmp_path / "a").write_text("one", encoding="utf-8")
    publish_run(SHELF, synthetic_record(0), files(tmp_path, "a"))
    (tmp_path / "a").write_text("two", encoding="utf-8")
    s3.refusing = {"team/runs/run-0000/run.json": 403}
    with pytest.raises(StoreError):
        publish_run(SHELF, synthetic_record(0), files(tmp_path, "a"))
    assert record_in(open_store(SHELF), "run-0000") is None
    s3.refusing = {}
    record = publish_run(SHELF, synthetic_record(0), files(tmp_path, "a"))
    assert record_in(open_store(SHELF), "run-0000") == record


def test_a_file_that_changed_after_its_step_is_not_published(runs: Path, s3: HostileS3) -> None:
    (runs / "whole/evaluation/scores.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"scores\.json was changed"):
        publish(runs, "whole", SHELF)
    assert "team/runs/whole/run.json" not in s3.objects


def test_a_run_goes_to_no_folder_of_its_own_and_not_while_it_is_going_on(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="the folder of this run itself"):
        publish(runs, "whole", str(runs))
    assert main(["runs", "publish", "nothing", SHELF, "--runs", str(runs)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_damaged_record_in_the_store_is_replaced_and_said(
    runs: Path, s3: HostileS3, caplog: pytest.LogCaptureFixture
) -> None:
    publish(runs, "whole", SHELF)
    key = "team/runs/whole/run.json"
    s3.objects[key] = s3.objects[key].replace(b'"seconds": 60.0', b'"seconds": 61.0')
    with pytest.raises(ArtifactError, match="was changed after it was published"):
        record_in(open_store(SHELF), "whole")
    publish(runs, "whole", SHELF)
    assert "it is replaced" in caplog.text
    assert record_in(open_store(SHELF), "whole") is not None


def test_a_deleted_run_leaves_the_index_first_and_what_was_cut_off_is_completed(
    runs: Path, s3: HostileS3
) -> None:
    publish(runs, "whole", SHELF)
    publish(runs, "failed", SHELF)
    s3.refusing = {"team/runs/index.html": 403}
    with pytest.raises(StoreError):
        withdraw_run(SHELF, "whole")
    s3.refusing = {}
    index = Index(open_store(SHELF))
    assert [record.name for record in indexed_records(open_store(SHELF), index)] == ["failed"]
    s3.objects["team/runs/whole/left"] = b"x"
    assert withdraw_run(SHELF, "whole") == 1
    assert not any("/whole/" in key for key in s3.objects)
    with pytest.raises(StoreError, match="there is no run whole"):
        withdraw_run(SHELF, "whole")
    publish(runs, "whole", SHELF)
    assert len(indexed_records(open_store(SHELF), Index(open_store(SHELF)))) == 2


def test_an_index_that_was_damaged_or_deleted_is_made_again_from_the_records(
    s3: HostileS3, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        publish_run(SHELF, synthetic_record(number), [])
    withdraw_run(SHELF, "run-0002")
    for key in [key for key in s3.objects if "/.index/" in key]:
        piece = unpacked(s3.objects[key], key.removeprefix("team/runs/"))
        if piece.deleted:
            s3.objects[key] += b"x"
        elif piece.records[0]["name"] == "run-0001":
            del s3.objects[key]
    assert reindex(SHELF) == 2
    assert "is damaged" in caplog.text
    (snapshot,) = (key for key in s3.objects if "/.index/" in key)
    assert "/snapshot/" in snapshot
    caplog.clear()
    assert reindex(SHELF) == 2
    assert caplog.text == ""


def test_commands_say_where_a_run_was_published_also_for_programs(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = str(tmp_path / "shelf")
    assert main(["runs", "publish", "failed", shelf, "--runs", str(runs)]) == 0
    assert capsys.readouterr().out == f"published to {shelf}/failed/\n"
    assert main(["runs", "publish", "whole", shelf, "--runs", str(runs), "--json"]) == 0
    record = record_in(open_store(shelf), "whole")
    assert record is not None
    said = json.loads(capsys.readouterr().out)
    assert said == {"published": f"{shelf}/whole/", "files": len(record.files)}
    assert main(["runs", "reindex", "--runs", shelf, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": 2}


def test_a_run_whose_store_refuses_at_its_end_is_whole_here_and_the_named_command_sends_it(
    runs: Path, s3: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = RunProgress(sys.stdout, runs, 5)
    s3.refusing = {"team/runs/whole/": 403}
    with pytest.raises(UploadError) as refused:
        publish_ended(runs / "whole", SHELF, progress)
    assert str(refused.value).startswith("the run whole could not be published: cannot write whole/")
    assert (
        f"it is complete in {runs / 'whole'}, and `runs publish whole {SHELF} --runs '{runs}'` sends it"
        in str(refused.value)
    )
    publish_failed(runs / "whole", SHELF, progress)
    assert "could not be published" in capsys.readouterr().out
    s3.refusing = {}
    assert main(shlex.split(str(refused.value).split("`")[1])) == 0
    assert "team/runs/whole/run.json" in s3.objects


def test_runs_that_earlier_code_published_are_named_when_the_index_is_made_again(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They had a manifest where runs now have a record."""
    shelf = tmp_path / "shelf"
    publish(runs, "whole", str(shelf))
    for name in ("old", "older"):
        (shelf / name).mkdir()
        (shelf / name / "manifest.json").write_text("{}")
    assert reindex(str(shelf)) == 1
    assert "not listed: old, older; publish them again, or open their report.html" in caplog.text
