"""One real run of all five steps, from a path with spaces: what it leaves, what it reuses, how it fails."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.steps import STEPS
from model_core.artifacts import open_artifact, read_json
from model_core.errors import UserError
from pipelines.__main__ import main
from pipelines.runs import find_run
from tests.data.market import saved, table

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.usefixtures("preloaded")]
TINY = str(Path(__file__).parent / "tiny.yaml")
REPOSITORY = Path(__file__).parent.parent.parent


def run(runs: Path, *more: str) -> int:
    return main(["run", "--config", TINY, "--source", "sample://synthetic", "--runs", str(runs), *more])


@pytest.fixture(scope="module")
def runs(preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a path with spaces") / "runs"
    assert run(folder, "--name", "first") == 0
    return folder


def artifacts(runs: Path) -> dict[str, Path]:
    record = find_run(runs, "first")
    found = {kind: record.artifact(runs, kind) for kind in record.artifacts}
    return {kind: path for kind, path in found.items() if path is not None}


def test_every_step_leaves_what_its_contract_says(runs: Path) -> None:
    left = artifacts(runs)
    files = {
        "dataset": ("prepare_data", {"waves.parquet", "splits.json", "scaler.json", "quality.json"}),
        "model": ("train", {"history.parquet", "memory_diagnostics.log", "results.json"}),
        "evaluation": ("evaluate", {"predictions.parquet", "scores.json"}),
        "findings": ("diagnose", {"findings.json", "findings.parquet"}),
    }
    for name, (producer, expected) in files.items():
        assert expected <= set(open_artifact(left[name], producer=producer).files)
        for table_file in left[name].glob("*.parquet"):
            assert pq.read_table(table_file).num_rows > 0
    for kind in ("best", "last"):
        assert {"model.safetensors", "settings.json"} <= {p.name for p in (left["model"] / kind).iterdir()}
    page = (runs / "first" / "report.html").read_text(encoding="utf-8")
    assert page == left["report"].read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert (runs / "first" / "summary.md").read_text(encoding="utf-8").strip()


def test_the_record_says_what_ran_and_each_step_has_its_log(runs: Path) -> None:
    record = read_json(runs / "first" / "run.json")
    assert record["status"] == "succeeded"
    assert set(record["step_seconds"]) == set(STEPS)  # type: ignore[call-overload]
    assert {p.stem for p in (runs / "first" / "logs").glob("*.log")} == {*STEPS, "kfp"}


def test_a_second_run_reuses_every_step_and_says_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--name", "second") == 0
    assert "4 of 5 steps reused" in capsys.readouterr().out  # the page bears the run's name
    assert run(runs, "--name", "second") == 0
    told = capsys.readouterr().out
    assert "5 of 5 steps reused from the cache" in told
    assert "structured random walk" in told
    assert str(runs / "second" / "report.html") in told


def test_changing_the_reports_title_runs_the_report_only(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(runs, "--name", "third", "--set", "report.title=Another") == 0
    told = capsys.readouterr().out
    assert "4 of 5 steps reused" in told
    assert "KFP Executor" not in told


def test_a_failing_step_fails_the_run_with_its_own_error_and_new_code_is_not_served_from_the_cache(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training finds a folder where a file of its checkpoints should go; the code version is another one."""
    (tmp_path / "owner.json").mkdir()
    monkeypatch.setattr("pipelines.runners.local.code_version", lambda: "another")
    code = run(runs, "--name", "failing", "--checkpoint-uri", str(tmp_path))
    told = capsys.readouterr()
    assert code == UserError.exit_code
    assert "reused" not in told.out
    assert told.err.startswith("error: train: ")
    assert told.err.count("\n") == 1
    record = read_json(runs / "failing" / "run.json")
    assert (record["status"], record["failed_step"]) == ("failed", "train")


def test_ctrl_c_stops_the_step_and_the_record_says_so(tmp_path: Path) -> None:
    arguments = ["run", "--config", TINY, "--source", "sample://synthetic", "--name", "long"]
    arguments += ["--runs", str(tmp_path / "runs"), "--set", "training.train_epochs=5000"]
    # Tests that a shell runs in the background ignore Ctrl-C, and their children would do so, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 1"):
            child.send_signal(signal.SIGINT)
            break
    _, errors = child.communicate(timeout=600)
    assert child.returncode == 130
    assert errors == "stopped\n"
    record = read_json(tmp_path / "runs" / "long" / "run.json")
    assert (record["status"], record["failed_step"]) == ("stopped", "train")


def test_runs_are_listed_shown_and_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--name", "titled", "--set", "report.title=Titled") == 0
    capsys.readouterr()
    assert main(["runs", "list", "--runs", str(runs)]) == 0
    assert "first" in capsys.readouterr().out
    assert main(["runs", "show", "first", "--runs", str(runs)]) == 0
    assert "structured random walk" in capsys.readouterr().out
    assert main(["runs", "compare", "first", "titled", "--runs", str(runs)]) == 0
    assert "report.title" in capsys.readouterr().out
    assert main(["runs", "show", "nothing", "--runs", str(runs)]) == UserError.exit_code
    assert "there is no run 'nothing'" in capsys.readouterr().err


def test_opening_a_run_shows_its_report_in_the_browser(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The browser here is a program that writes down what it was asked to show."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/shown"\n', encoding="utf-8")
    browser.chmod(0o755)
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    assert main(["runs", "open", "first", "--runs", str(runs)]) == 0
    page = runs / "first" / "report.html"
    assert (tmp_path / "shown").read_text(encoding="utf-8") == page.resolve().as_uri()
    assert capsys.readouterr().out.strip() == str(page)
    assert main(["runs", "open", "nothing", "--runs", str(runs)]) == UserError.exit_code


def test_the_quickstart_refuses_a_table_of_a_hundred_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(table(100), tmp_path, "hundred.csv")
    quickstart = str(REPOSITORY / "configs" / "quickstart.yaml")
    code = main(["run", "--config", quickstart, "--source", source, "--runs", str(tmp_path / "runs")])
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (UserError.exit_code, 1)
    assert "100 rows" in told
    assert not any(not path.name.startswith(".") for path in (tmp_path / "runs").glob("*"))


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--source", "missing.csv"], "missing.csv"),
        (["--source", "sample://nasdq"], "is not a sample"),
        (["--set", "training.lerning_rate=1"], "did you mean"),
        (["--name", "Not A Name"], "cannot name a run"),
        (["--runs", "a-file/runs"], "choose another --runs"),
        (["--config", "missing.yaml"], "missing.yaml"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence_and_leaves_nothing(
    flags: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("in the way", encoding="utf-8")
    assert main(["run", *(["--config", TINY] if "--config" not in flags else []), *flags]) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a-file"]


def test_a_table_that_the_first_step_refuses_leaves_no_run_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, frame, reason in (
        ("no-low.csv", table().drop(columns="Low"), "Low"),
        ("short.csv", table(20), "rows"),
    ):
        source = saved(frame, tmp_path, name)
        code = main(["run", "--config", TINY, "--source", source, "--runs", str(tmp_path / "runs")])
        told = capsys.readouterr().err
        assert code == UserError.exit_code
        assert reason in told
        assert told.count("\n") == 1
        assert [p for p in (tmp_path / "runs").glob("*") if not p.name.startswith(".")] == []
