"""A run whose step fails ends with a page all the same: its report if there is one, else what failed and why."""

import json
from pathlib import Path

import pytest

from model_core.config.run import Settings
from model_core.errors import PipelineError
from pipelines.runners import local
from pipelines.runners.local import LocalRun, run_locally
from pipelines.runners.process import RunProgress, outputs_of


def failing(step: str, left: dict[str, Path]) -> object:
    """Instead of the pipeline: ``step`` fails after ``prepare_data`` and has written ``left``."""

    def execute(run: LocalRun, version: str, progress: RunProgress) -> dict[str, Path]:
        progress.seconds["prepare_data"] = 3.0
        progress.failed, progress.exit_code, progress.reason = step, 1, "it ran into <something>"
        progress.last_lines, progress.left = ("epoch 1", "<script>"), left
        raise PipelineError(f"the step {step} failed")

    return execute


def failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, left: dict[str, Path]) -> Path:
    monkeypatch.setattr(local, "_execute", failing(step, left))
    run = LocalRun(Settings(), "sample://nasdaq", tmp_path / "runs", "a-run")
    with pytest.raises(PipelineError):
        run_locally(run)
    assert json.loads((run.folder / "run.json").read_text(encoding="utf-8"))["status"] == "failed"
    return run.folder


def test_a_failed_step_leaves_a_page_that_says_which_why_and_what_it_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (failed_run(tmp_path, monkeypatch, "train", {}) / "report.html").read_text(encoding="utf-8")
    assert f"page: {tmp_path / 'runs/a-run/report.html'}" in "".join(capsys.readouterr()).splitlines()
    assert "RUN FAILED in the step train" in page
    assert "it ran into &lt;something&gt;" in page
    assert "epoch 1\n&lt;script&gt;" in page
    for step, state in (("prepare_data", "3 s"), ("train", "failed"), ("evaluate", "not run")):
        assert f'<th scope="row">{step}</th><td>{state}</td>' in page


def test_a_report_that_was_written_before_its_step_failed_is_the_page_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"report": tmp_path / "page", "summary": tmp_path / "lines"}
    for name, path in left.items():
        path.write_text(f"INVARIANT FAILED: the {name}", encoding="utf-8")
    folder = failed_run(tmp_path, monkeypatch, "report", left)
    assert (folder / "report.html").read_text(encoding="utf-8") == "INVARIANT FAILED: the report"
    assert (folder / "summary.md").read_text(encoding="utf-8") == "INVARIANT FAILED: the summary"


def test_the_outputs_of_a_step_are_those_that_its_command_declares() -> None:
    declared = {"outputs": {"artifacts": {"report": {"artifacts": [{"uri": "/somewhere/report"}]}}}}
    command = ["sh", "-c", "…", "--executor_input", json.dumps(declared)]
    assert outputs_of(command) == {"report": Path("/somewhere/report")}
    assert outputs_of(["sh", "-c", "…"]) == {}
