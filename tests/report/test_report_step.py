"""The report step: what it writes, refuses, and still reads of earlier code."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.report.step import run
from model_core.artifacts import read_json, read_manifest, write_manifest
from model_core.config.run import ReportSettings
from model_core.errors import ArtifactError, InvariantError
from model_core.report.evidence import Evidence, read_evidence
from model_core.report.page import render_page, render_summary
from tests.evaluation.small_run import small_run
from tests.report.checker import checked
from tests.results.test_records import EARLIER, findings_of_version_1, scores_of_version_1

SETTINGS = ReportSettings(example_windows=2)


def test_the_step_writes_both_files_and_publishes_them(tmp_path: Path) -> None:
    headline = run(
        **small_run(),
        report=tmp_path / "report.html",
        summary=tmp_path / "summary.md",
        settings=SETTINGS,
        publish_uri=str(tmp_path / "shelf"),
        run_name="first",
    )
    assert headline["report_mb"] < 4
    assert (tmp_path / "shelf/first/report.html").read_bytes() == (tmp_path / "report.html").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "summary.md", "shelf"}


def test_a_damaged_input_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folders = dict(small_run())
    copy = tmp_path / "evaluation"
    copy.mkdir()
    for path in folders["evaluation"].iterdir():
        content = path.read_bytes()
        (copy / path.name).write_bytes(content + b" " if path.name == "scores.json" else content)
    wrong: Any = folders | {"evaluation": copy}
    with pytest.raises(ArtifactError, match=re.escape("scores.json")):
        run(
            **wrong, report=tmp_path / "out" / "report.html", summary=tmp_path / "out" / "summary.md",
            settings=SETTINGS, publish_uri=None, run_name="wrong",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_step_speaks_before_it_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever starts it sees at once that it runs, and a first input that cannot be read is not its first word."""
    nowhere = dict.fromkeys(("dataset", "model", "evaluation", "findings"), tmp_path / "none")
    with caplog.at_level("INFO", "pgat"), pytest.raises(ArtifactError):
        run(
            **nowhere, report=tmp_path / "report.html", summary=tmp_path / "summary.md", settings=SETTINGS,
            publish_uri=None, run_name="first",
        )  # fmt: skip
    assert caplog.messages == ["reading what the run left behind"]


def test_writing_a_report_does_not_import_torch() -> None:
    code = "import sys, components.report.step; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def put_earlier(folders: dict[str, Path], version: int) -> None:
    """Put the two JSON files that earlier code wrote into the folders, and vouch for them again."""
    scores, findings = (read_json(EARLIER / f"{name}.json") for name in ("scores", "findings"))
    if version == 1:
        scores, findings = scores_of_version_1(scores), findings_of_version_1(findings)
    for artifact, name, content in (("evaluation", "scores", scores), ("findings", "findings", findings)):
        folder = folders[artifact]
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        manifest = read_manifest(folder / "manifest.json", producer=PRODUCERS[name])
        write_manifest(
            folder, producer=manifest.producer, settings=manifest.settings, inputs=inputs_of(folders)
        )


PRODUCERS = {"scores": "evaluate", "findings": "diagnose"}


@pytest.fixture
def copies(tmp_path: Path) -> dict[str, Path]:
    """The small run's folders; evaluation and findings may be changed."""
    folders = small_run()
    return {
        name: Path(shutil.copytree(path, tmp_path / name)) if name in ("evaluation", "findings") else path
        for name, path in folders.items()
    }


def inputs_of(folders: dict[str, Path]) -> dict[str, Path]:
    return {name: folders[name] for name in ("dataset", "model")}


@pytest.mark.usefixtures("unprinted")
@pytest.mark.parametrize("version", [1, 2])
def test_what_earlier_code_wrote_is_still_shown(copies: dict[str, Path], version: int) -> None:
    put_earlier(copies, version)
    evidence = read_evidence(**copies)
    page = render_page(evidence, SETTINGS, "an old run")
    assert evidence.scores.verdict.text in checked(page).text
    assert evidence.scores.verdict.text in render_summary(evidence, "an old run")


@pytest.mark.parametrize(("artifact", "name"), [("evaluation", "scores"), ("findings", "findings")])
def test_what_later_code_wrote_is_refused(copies: dict[str, Path], artifact: str, name: str) -> None:
    path = copies[artifact] / f"{name}.json"
    path.write_text(json.dumps(read_json(path) | {"schema_version": 99}), encoding="utf-8")
    write_manifest(copies[artifact], producer=PRODUCERS[name], settings={}, inputs=inputs_of(copies))
    with pytest.raises(ArtifactError, match=r"schema version 99.*run the (evaluate|diagnose) step again"):
        read_evidence(**copies)


@pytest.mark.usefixtures("unprinted")
def test_the_page_is_written_and_the_step_fails_where_an_invariant_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evidence: Evidence
) -> None:
    candles = evidence.scores.candles.model_copy(update={"invalid_share": 0.25})
    broken = replace(evidence, scores=evidence.scores.model_copy(update={"candles": candles}))
    monkeypatch.setattr("components.report.step.read_evidence", lambda **folders: broken)
    with pytest.raises(InvariantError):
        run(
            **small_run(), report=tmp_path / "report.html", summary=tmp_path / "summary.md", settings=SETTINGS,
            publish_uri=str(tmp_path / "shelf"), run_name="broken",
        )  # fmt: skip
    for page in (tmp_path / "report.html", tmp_path / "shelf/broken/report.html"):
        assert "INVARIANT FAILED" in page.read_text(encoding="utf-8")
