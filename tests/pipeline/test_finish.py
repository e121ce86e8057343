"""Whatever became of a run, its end is told by hand as in a cluster: a page that says so, and a record."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.finish.__main__ import main
from components.notes import StepNote
from components.steps import STEPS
from model_core.results.run import RunRecord
from tests.pipeline.endings import DONE, by_hand, note, noted, publish, recorded


def test_a_run_that_succeeded_has_a_record_and_a_page_that_points_to_its_report(tmp_path: Path) -> None:
    main(by_hand(tmp_path, "COMPLETE", "--publish-uri", str(tmp_path / "shelf")))
    assert "RUN SUCCEEDED" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "shelf/mine").iterdir()] == ["run.json"]


def told_of_a_published_run(folder: Path, state: str, notes: dict[str, StepNote]) -> RunRecord:
    """The record of a run whose report was published before its end was told."""
    shelf = str(folder / "shelf")
    publish(folder, shelf, "mine", b"the report", git_commit="abc")
    main(by_hand(folder, state, "--notes", noted(folder, notes), "--publish-uri", shelf))
    return recorded(shelf, "mine")


def test_of_what_the_report_published_of_a_run_that_succeeded_nothing_is_lost(tmp_path: Path) -> None:
    record = told_of_a_published_run(tmp_path, "COMPLETE", DONE)
    assert (record.status, list(record.files), record.git_commit) == ("succeeded", ["report.html"], "abc")
    assert record.step_seconds == dict.fromkeys(STEPS, 3.0)
    assert (tmp_path / "shelf/mine/report.html").read_bytes() == b"the report"


def test_a_registry_that_refuses_takes_nothing_from_a_report_that_is_published(tmp_path: Path) -> None:
    refused = note("failed", reason="the registry answered 403")
    record = told_of_a_published_run(tmp_path, "FAILED", DONE | {"register_model": refused})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "RUN FAILED in the step register_model" in page
    assert "Its report is whole" in page
    assert "no scores" not in page
    assert (record.status, record.failed_step, record.git_commit) == ("failed", "register_model", "abc")
    assert (tmp_path / "shelf/mine/report.html").read_bytes() == b"the report"


def test_a_password_in_the_address_of_a_table_is_on_no_page_and_in_no_record(tmp_path: Path) -> None:
    """Parameters of a run may be typed by hand, and the step that refuses one is not the one that publishes."""
    words = by_hand(tmp_path, "FAILED", "--publish-uri", str(tmp_path / "shelf"))
    words[words.index("--source") + 1] = "s3://me:canary@market/prices.csv?key=canary"
    main(words)
    written = [tmp_path / "page.html", *(tmp_path / "shelf/mine").iterdir(), tmp_path / "shelf/index.html"]
    assert len(written) == 4
    for path in written:
        assert "canary" not in path.read_text(encoding="utf-8")
        assert "s3://…@market/prices.csv" in path.read_text(encoding="utf-8")


def test_an_endless_page_of_a_report_that_failed_is_named_and_the_end_told_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notes").mkdir()
    with (tmp_path / "notes/report.html").open("wb") as file:
        file.truncate(2**30)
    main(by_hand(tmp_path, "FAILED", "--notes", str(tmp_path / "notes")))
    assert "RUN FAILED" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "cannot read report.html" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", '{"error": {}}', "{" * 2000])
def test_a_status_that_is_none_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = by_hand(tmp_path)
    (tmp_path / "status.json").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "is not KFP's status of a run" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_the_step_starts_no_torch_and_no_kfp() -> None:
    program = "import sys, components.finish.step; print([n for n in ('torch', 'kfp', 'jinja2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
