"""What each step of a run notes, and how the run ended as its notes and KFP's state say."""

from pathlib import Path

import pytest

from components.entry_points import kfp_entry_point
from components.finish.ending import end_of, told_steps
from components.notes import StepNote, read_notes
from model_core.errors import TrainingError
from model_core.store.locate import open_store
from model_core.variables import STEP_NOTES
from tests.pipeline.endings import DONE, ROOT, Metrics, note, step_fails


@pytest.mark.parametrize(
    ("state", "notes", "status", "step"),
    [
        ("COMPLETE", DONE, "succeeded", None),
        ("SUCCEEDED", {}, "succeeded", None),
        ("FAILED", DONE | {"report": note("failed", reason="red")}, "failed", "report"),
        # A pod that was killed has told KFP nothing, and the state of all steps together is what it was.
        ("RUNNING", {"prepare_data": DONE["train"], "train": note("began")}, "failed", "train"),
        ("FAILED", {"prepare_data": DONE["train"]}, "failed", None),
        ("FAILED", {}, "failed", None),
        ("RUNNING", {}, "failed", None),
        # KFP had no time yet to take notice of the last step.
        ("RUNNING", DONE, "succeeded", None),
        ("CANCELED", {"train": note("began")}, "stopped", "train"),
    ],
)
def test_a_run_ends_as_its_state_and_the_notes_of_its_steps_say(
    state: str, notes: dict[str, StepNote], status: str, step: str | None
) -> None:
    end = end_of(state, "", notes)
    assert (end.status, end.step) == (status, step)
    assert bool(end.reason) == (status != "succeeded")


def test_a_step_that_nobody_noted_was_reused_if_the_run_succeeded_and_may_not_have_begun_if_it_failed() -> (
    None
):
    only_last = {"report": note("failed", reason="red")}
    assert told_steps(only_last, "failed")["train"] == "reused, or not begun"
    assert told_steps({"train": note("began")}, "failed") == {
        "prepare_data": "reused, or not begun",
        "train": "not finished",
        **dict.fromkeys(("evaluate", "diagnose", "report"), "not run"),
    }
    assert told_steps({"report": DONE["report"]}, "succeeded")["train"] == "reused"


def test_a_step_notes_why_it_failed_what_it_said_last_and_what_it_had_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    (tmp_path / "page").write_text("red", encoding="utf-8")
    left = {"report.html": str(tmp_path / "page"), "summary.md": str(tmp_path / "none")}
    with pytest.raises(SystemExit):
        step_fails(str(tmp_path / "run"), tmp_path, TrainingError("the loss is NaN; lower the rate"), left)
    store = open_store(str(tmp_path / "run/notes"))
    found = read_notes(store)["train"]
    assert (found.state, found.reason) == ("failed", "the loss is NaN; lower the rate")
    assert found.last_lines == ("epoch 1",)
    assert list(store.keys()) == ["report.html", "train.json"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="asks Linux for a file that cannot be read")
def test_a_step_whose_files_cannot_be_read_fails_for_its_own_reason_and_notes_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    left = {"report.html": "/proc/self/mem"}  # a regular file whose first byte no process may read
    with pytest.raises(SystemExit):
        step_fails(str(tmp_path / "run"), tmp_path, TrainingError("the loss is NaN; lower the rate"), left)
    store = open_store(str(tmp_path / "run/notes"))
    assert read_notes(store)["train"].reason == "the loss is NaN; lower the rate"
    assert list(store.keys()) == ["train.json"]
    assert any("is not kept beside the notes" in record.getMessage() for record in caplog.records)


def test_a_bug_leaves_the_end_of_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    with pytest.raises(ZeroDivisionError):
        step_fails(str(tmp_path / "run"), tmp_path, ZeroDivisionError("by zero"))
    found = read_notes(open_store(str(tmp_path / "run/notes")))["train"]
    assert found.reason == "ZeroDivisionError: by zero"
    assert found.last_lines[-1] == "ZeroDivisionError: by zero"


def test_a_step_without_keys_says_that_it_noted_nothing_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with kfp_entry_point(Metrics(f"minio://{ROOT}/train/44/metrics", tmp_path / "metrics")) as headline:
        headline["epochs"] = 1.0
    assert (tmp_path / "metrics").exists()
    told = [record.getMessage() for record in caplog.records if record.name == "pgat.notes"]
    assert len(told) == 1
    assert "is not noted" in told[0]
    assert "--secret" in told[0]


def test_a_step_that_is_not_asked_notes_nothing(tmp_path: Path) -> None:
    with kfp_entry_point(Metrics(str(tmp_path / "run/train/metrics"), tmp_path / "metrics")):
        pass
    assert not (tmp_path / "run").exists()


def test_what_is_no_note_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    began = '{"state": "ended", "began_at": "2026-03-01T12:00:00'
    damaged = {
        "prepare_data": f'{began}"}}',
        "train": "{",
        "evaluate": '{"state": "sleeping"}',
        "diagnose": f'{began}Z", "seconds": "Infinity"}}',
        "report": " " * 200_000,
        "register_model": "[]",
    }
    strays = {f"a{number}": f'{began}Z"}}' for number in range(200)}
    for name, content in (damaged | strays).items():
        (tmp_path / f"{name}.json").write_text(content, encoding="utf-8")
    assert read_notes(open_store(str(tmp_path))) == {}
    assert len(caplog.records) == len(damaged)
    (tmp_path / "train.json").write_text(f'{began}Z"}}', encoding="utf-8")
    assert list(read_notes(open_store(str(tmp_path)))) == ["train"]
