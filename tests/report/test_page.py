"""The review page of a real small run: whole, self-contained, valid, and honest about what is missing."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from components.report.step import run
from model_core.artifacts import read_json, read_manifest, write_manifest
from model_core.config.run import ReportSettings
from model_core.errors import ArtifactError
from model_core.evaluation.scores import skill_row
from model_core.evaluation.verdict import HEADLINES, skill_words, verdict_text
from model_core.report import words
from model_core.report.evidence import Evidence, read_evidence
from model_core.report.page import render_page, render_summary
from tests.evaluation.small_run import small_run

SETTINGS = ReportSettings(example_windows=2)
VOID = {"meta", "br", "hr", "img", "input", "link"}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return read_evidence(**small_run())


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    return render_page(evidence, SETTINGS, "a-run")


class Checker(HTMLParser):
    """Collects ids and references, and every tag that is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: Counter[str] = Counter()
        self.references: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name in {"href", "xlink:href"} and (value or "").startswith("#"):
                self.references.add((value or "")[1:])
            elif name == "aria-labelledby":
                self.references.add(value or "")
            self.references |= set(re.findall(r"url\(#([^)]+)\)", value or ""))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    return checker


def test_tags_are_closed_in_turn_and_ids_are_unique_and_found(page: str) -> None:
    found = checked(page)
    assert (found.faults, found.open) == ([], [])
    assert [name for name, count in found.ids.items() if count > 1] == []
    assert found.references <= set(found.ids)


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"|sample://\w+', "", page)
    assert re.findall(r"(?:https?:)?//[\w.]+", outside) == []
    assert re.findall(r"<(?:script|link|iframe|img|object)\b|@import|url\((?!#)", outside) == []
    assert len(page.encode()) < 4e6


def test_the_same_evidence_gives_the_same_bytes(evidence: Evidence, page: str) -> None:
    assert render_page(evidence, SETTINGS, "a-run") == page


def test_every_part_is_there(page: str) -> None:
    found = checked(page)
    assert {
        "verdict", "scores", "forecasts", "calibration", "errors", "training", "robustness",
        "looked-at", "data", "provenance",
        "skill-title", "candles0-title", "candles1-title", "horizon-title", "training-title",
        "robustness-title", "attacks-title", "pit-title", "splits-title", "adjacency-title",
        "attention-title",
    } <= set(found.ids)  # fmt: skip


def test_names_are_escaped(evidence: Evidence) -> None:
    name = '<script>alert("x")</script> & co'
    hostile = render_page(evidence, SETTINGS.model_copy(update={"title": name}), name)
    assert "<script" not in hostile
    assert name in checked(hostile).text


def test_the_verdict_and_the_numbers_are_those_of_the_scores(evidence: Evidence, page: str) -> None:
    text = checked(page).text
    scores = evidence.scores
    assert scores["verdict"]["text"] in text
    assert HEADLINES[scores["verdict"]["outcome"]] in text
    best = next(r for r in words.headline_skill(scores) if r["baseline"] == scores["best_baseline"])
    assert skill_words(best) in text
    for manifest in evidence.manifests.values():
        for record in manifest.files.values():
            assert record.sha256 in text


def test_what_is_missing_is_said(evidence: Evidence) -> None:
    calibration = evidence.scores["calibration"] | {"model": None, "skill": None}
    bare = replace(evidence, explanation=None, scores=evidence.scores | {"calibration": calibration})
    found = checked(render_page(bare, SETTINGS, "bare"))
    assert "This run holds no explanation" in found.text
    assert "forecasts a point, not a distribution" in found.text
    assert "Whether the celestial waves add anything was not measured in this run" in found.text
    assert found.references <= set(found.ids)


def test_memory_of_training_is_said(evidence: Evidence) -> None:
    saving = replace(
        evidence, training=evidence.training | {"gradient_checkpointing": True, "peak_memory_mb": 1234.4}
    )
    text = checked(render_page(saving, SETTINGS, "saving")).text
    assert "1,234 MB" in text
    assert "activations recomputed to save memory" in text


def test_a_failed_invariant_is_named(evidence: Evidence) -> None:
    checks = [dict(check) for check in evidence.findings["invariants"]]
    checks[0]["passed"] = False
    failing = replace(evidence, findings=evidence.findings | {"invariants": checks})
    text = checked(render_page(failing, SETTINGS, "failing")).text
    assert f"1 of {len(checks)} invariants failed: {checks[0]['name'].replace('_', ' ')}" in text


def test_the_summary_ranks_the_model_beside_every_baseline(evidence: Evidence) -> None:
    summary = render_summary(evidence, "a-run")
    for forecast in evidence.scores["forecasts"].values():
        assert forecast["title"] in summary
    assert evidence.scores["verdict"]["text"] in summary


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


@pytest.mark.parametrize(
    ("value", "written"), [(None, "–"), (12345.6, "12,346"), (1.23456, "1.235"), (0, "0"), (2e-7, "2.00e-07")]
)
def test_numbers_are_written_for_people(value: float | None, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ({"windows": 16}, "Each row stands on 16 test windows."),
        ({"windows": 16, "test_windows": 16, "overlap": 3}, "Each row stands on 16 test windows."),
        ({"windows": 100, "test_windows": 998, "overlap": 1}, "100 of 998 test windows, spread evenly .* not overlap"),
        ({"windows": 16, "test_windows": 58, "overlap": 2}, "16 of 58 test windows, .* diagnostics.max_windows"),
    ],
)  # fmt: skip
def test_the_robustness_section_says_how_many_windows_stand_behind_a_row_and_why(
    findings: dict[str, Any], said: str
) -> None:
    assert re.search(said, words.disturbed_windows(findings, 10))


def test_the_page_of_a_model_that_reads_no_sky_does_not_ask_what_the_sky_adds(evidence: Evidence) -> None:
    reads = {"past_sky": False, "future_sky": False}
    blind = replace(evidence, findings=evidence.findings | {"reads": reads})
    assert "This model reads no celestial waves." in render_page(blind, SETTINGS, "a-run")
    assert "was not measured in this run" in render_page(evidence, SETTINGS, "a-run")


def without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def as_version_1(evaluation: Path, findings: Path, inputs: dict[str, Path]) -> None:
    """Turn the two JSON files into what earlier code wrote, and vouch for them again."""
    scores: Any = read_json(evaluation / "scores.json")
    scores = without(scores, "confidence_set_reason") | {"schema_version": 1}
    scores["verdict"] = without(scores["verdict"], "reason")
    scores["skill"] = [without(row, "reason", "degrees_of_freedom") for row in scores["skill"]]
    found: Any = read_json(findings / "findings.json")
    found = without(found, "test_windows", "overlap", "reads", "left_out") | {"schema_version": 1}
    found["scenarios"] = [
        without(row, "excess_low", "excess_high", "fragile_reason") | {"fragile": False}
        for row in found["scenarios"]
    ]
    for folder, name, content in ((evaluation, "scores", scores), (findings, "findings", found)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        manifest = read_manifest(folder / "manifest.json", producer=PRODUCERS[name])
        write_manifest(folder, producer=manifest.producer, settings=manifest.settings, inputs=inputs)


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


def test_what_earlier_code_wrote_is_still_shown(copies: dict[str, Path]) -> None:
    as_version_1(copies["evaluation"], copies["findings"], inputs_of(copies))
    evidence = read_evidence(**copies)
    page = render_page(evidence, SETTINGS, "an old run")
    assert evidence.scores["verdict"]["text"] in checked(page).text
    assert evidence.scores["verdict"]["text"] in render_summary(evidence, "an old run")


@pytest.mark.parametrize(("artifact", "name"), [("evaluation", "scores"), ("findings", "findings")])
def test_what_later_code_wrote_is_refused(copies: dict[str, Path], artifact: str, name: str) -> None:
    path = copies[artifact] / f"{name}.json"
    path.write_text(json.dumps(read_json(path) | {"schema_version": 3}), encoding="utf-8")
    write_manifest(copies[artifact], producer=PRODUCERS[name], settings={}, inputs=inputs_of(copies))
    with pytest.raises(ArtifactError, match=r"schema version 3.*run the (evaluate|diagnose) step again"):
        read_evidence(**copies)


def no_verdict(row: dict[str, Any]) -> dict[str, Any]:
    nothing = dict.fromkeys(("low", "high", "dm_statistic", "dm_p_value", "minimum_detectable_effect"))
    return row | nothing | {"verdict": "no verdict", "reason": "41 windows are too few"}


def test_a_run_without_a_verdict_says_why_in_page_and_summary(evidence: Evidence) -> None:
    skill = [no_verdict(row) for row in evidence.scores["skill"]]
    best = evidence.scores["best_baseline"]
    text = verdict_text(
        skill_row(skill, best, "overall"), skill_row(skill, "last_close", "Close"), best, 0.95
    )
    scores = evidence.scores | {
        "skill": skill,
        "confidence_set": None,
        "confidence_set_reason": "41 windows are too few",
        "verdict": evidence.scores["verdict"] | {"outcome": "no verdict", "text": text},
    }
    bare = {"low": None, "high": None}
    scenarios = [
        row | {"fragile": None, "fragile_reason": "16 windows are too few", "excess_low": None, "excess_high": None}
        | {part: row[part] | bare for part in ("degradation", "walk_degradation")}
        for row in evidence.findings["scenarios"]
    ]  # fmt: skip
    findings = evidence.findings | {"scenarios": scenarios}
    undecided = replace(evidence, scores=scores, findings=findings)
    page = checked(render_page(undecided, SETTINGS, "a run")).text
    for shown in (page, render_summary(undecided, "a run")):
        assert "There is no verdict on whether the model beats the best trivial forecast" in shown
        assert "41 windows are too few" in shown
        assert f"None of {len(scenarios)} disturbances can be judged: 16 windows are too few." in shown
        assert "None," not in shown
