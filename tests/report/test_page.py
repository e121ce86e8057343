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
from model_core.errors import ArtifactError, InvariantError
from model_core.evaluation.verdict import DISTRIBUTION, POINT, headline, point_text, skill_words
from model_core.report import phrases
from model_core.report.ending import EndPage, end_page, failure_texts
from model_core.report.evidence import Evidence, read_evidence
from model_core.report.page import render_page, render_summary
from model_core.results.findings import PerturbationResult, SkyRead
from model_core.results.scores import BaselineSkill, Scores
from model_core.results.skill import Comparison
from model_core.results.tables import PREDICTIONS
from tests.evaluation.small_run import small_run
from tests.results.test_records import EARLIER, findings_of_version_1, scores_of_version_1

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
        self.text += data.replace("\N{NO-BREAK SPACE}", " ")


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
        "verdict", "scores", "departure", "time", "forecasts", "calibration", "errors", "training", "robustness",
        "looked-at", "data", "provenance",
        "skill-title", "departure-title", "candles0-title", "candles1-title", "horizon-title", "training-title",
        "robustness-title", "attacks-title", "pit-title", "splits-title", "adjacency-title",
        "attention-title", "cumulative-title", "reliability-title", "coverage-time-title",
        "thirds-title", "close-by-day-title", "skill-narrow-title", "candles0-narrow-title",
    } <= set(found.ids)  # fmt: skip


def test_a_model_that_hardly_reads_is_not_praised_for_its_robustness(evidence: Evidence) -> None:
    departure = evidence.scores.departure
    assert departure is not None

    def said(share: float) -> str:
        inputs = {name: moved.model_copy(update={"share": share}) for name, moved in departure.inputs.items()}
        changed = departure.model_copy(update={"inputs": inputs})
        scores = evidence.scores.model_copy(update={"departure": changed})
        return phrases.verdict(replace(evidence, scores=scores)).robustness

    assert "so its robustness says little" in said(0.049)
    assert "says little" not in said(0.05)


def test_a_forecast_is_drawn_with_its_fan_and_that_of_earlier_code_with_its_outer_interval(
    evidence: Evidence, page: str
) -> None:
    assert "50 % of Close" in checked(page).text
    assert "90 % of Close" in checked(page).text
    earlier = evidence.predictions.drop(columns=list(PREDICTIONS.later))
    bare = checked(render_page(replace(evidence, predictions=earlier), SETTINGS, "a run")).text
    assert "50 % of Close" not in bare
    assert "90 % of Close" in bare


def test_a_page_without_a_departure_says_so(evidence: Evidence) -> None:
    scores = evidence.scores.model_copy(update={"departure": None})
    found = checked(render_page(replace(evidence, scores=scores), SETTINGS, "a run"))
    assert "evaluated by earlier code, which did not measure it" in found.text
    assert found.references <= set(found.ids)


def test_names_are_escaped(evidence: Evidence) -> None:
    name = '<script>alert("x")</script> & co'
    hostile = render_page(evidence, SETTINGS.model_copy(update={"title": name}), name)
    assert "<script" not in hostile
    assert name in checked(hostile).text


def test_the_verdict_and_the_numbers_are_those_of_the_scores(evidence: Evidence, page: str) -> None:
    text = checked(page).text
    scores = evidence.scores
    judged = scores.verdict.distribution
    assert judged is not None
    assert headline(POINT, scores.verdict.outcome) in text
    assert headline(DISTRIBUTION, judged.outcome) in text
    for sentence in scores.verdict.sentences:
        assert sentence in text
    assert skill_words(scores.headline) in text
    for manifest in evidence.manifests.values():
        for record in manifest.files.values():
            assert record.sha256 in text


def test_what_is_missing_is_said(evidence: Evidence) -> None:
    calibration = evidence.scores.calibration.model_copy(update={"model": None, "skill": None})
    scores = evidence.scores.model_copy(update={"calibration": calibration})
    bare = replace(evidence, explanation=None, scores=scores)
    found = checked(render_page(bare, SETTINGS, "bare"))
    assert "This run holds no explanation" in found.text
    assert "forecasts a point, not a distribution" in found.text
    assert "Whether the celestial waves add anything was not measured in this run" in found.text
    assert found.references <= set(found.ids)


def test_a_better_epoch_that_was_lost_is_said_in_one_sentence(evidence: Evidence, page: str) -> None:
    damaged = replace(
        evidence, training=evidence.training.model_copy(update={"best_epoch": 1, "lost_best_epoch": 2})
    )
    sentence = (
        "Epoch 2 had a lower validation loss, but its weights were lost to damage on the disk, so the numbers"
    )
    assert checked(render_page(damaged, SETTINGS, "a-run")).text.count(sentence) == 1
    assert evidence.training.lost_best_epoch is None
    assert "lost to damage" not in page


def test_training_takes_as_long_in_the_header_as_in_its_section(evidence: Evidence) -> None:
    for alone, together, said in ((100.0, 60.0, "1 min 40 s"), (100.0, 300.0, "5 min 0 s")):
        times = {"seconds": alone, "seconds_of_all_attempts": together}
        run = replace(evidence, training=evidence.training.model_copy(update=times))
        assert checked(render_page(run, SETTINGS, "a-run")).text.count(said) == 2


def test_an_interval_is_not_broken_in_its_middle(page: str) -> None:
    assert re.search("\\[[+−][\\d.]+,\N{NO-BREAK SPACE}[+−]", page)
    assert not re.search("\\[[+−][\\d.]+, [+−]", page)


def test_memory_of_training_is_said(evidence: Evidence) -> None:
    saving = replace(
        evidence,
        training=evidence.training.model_copy(
            update={"gradient_checkpointing": True, "peak_memory_mb": 1234.4}
        ),
    )
    text = checked(render_page(saving, SETTINGS, "saving")).text
    assert "1,234 MB" in text
    assert "activations recomputed to save memory" in text


def test_a_failed_invariant_is_named(evidence: Evidence) -> None:
    first, *rest = evidence.findings.invariants
    checks = (first.model_copy(update={"passed": False}), *rest)
    failing = replace(evidence, findings=evidence.findings.model_copy(update={"invariants": checks}))
    text = checked(render_page(failing, SETTINGS, "failing")).text
    assert "INVARIANT FAILED" in text
    assert "INVARIANT FAILED" in render_summary(failing, "failing")
    assert "INVARIANT FAILED" not in checked(render_page(evidence, SETTINGS, "sound")).text
    assert f"1 of {len(checks)} invariants failed: {first.name.replace('_', ' ')}" in text


def test_the_summary_ranks_the_model_beside_every_baseline(evidence: Evidence) -> None:
    summary = render_summary(evidence, "a-run")
    for forecast in evidence.scores.forecasts.values():
        assert forecast.title in summary
    assert all(sentence in summary for sentence in evidence.scores.verdict.sentences)


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
    ("value", "written"), [(None, "–"), (12345.6, "12,346"), (1.23456, "1.235"), (0, "0"), (2e-7, "2.00e−07")]
)
def test_numbers_are_written_for_people(value: float | None, written: str) -> None:
    assert phrases.number(value) == written


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ({"windows": 16}, "Each row is based on 16 test windows."),
        ({"windows": 16, "test_windows": 16, "overlap": 3}, "Each row is based on 16 test windows."),
        ({"windows": 100, "test_windows": 998, "overlap": 1}, "100 of 998 test windows, spread evenly .* not overlap"),
        ({"windows": 50, "test_windows": 998, "overlap": 1}, "50 of 998 test windows, .* diagnostics.max_windows"),
        ({"windows": 16, "test_windows": 58, "overlap": 2}, "16 of 58 test windows, .* diagnostics.max_windows"),
    ],
)  # fmt: skip
def test_the_robustness_section_says_how_many_windows_stand_behind_a_row_and_why(
    evidence: Evidence, findings: dict[str, int], said: str
) -> None:
    counted = {"test_windows": None, "overlap": None} | findings
    assert re.search(said, phrases.perturbed_windows(evidence.findings.model_copy(update=counted), 10))


def test_the_page_of_a_model_that_reads_no_sky_does_not_ask_what_the_sky_adds(evidence: Evidence) -> None:
    reads = SkyRead(past_sky=False, future_sky=False)
    blind = replace(evidence, findings=evidence.findings.model_copy(update={"reads": reads}))
    assert "This model reads no celestial waves." in render_page(blind, SETTINGS, "a-run")
    assert "was not measured in this run" in render_page(evidence, SETTINGS, "a-run")


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


def undecided(row: Comparison) -> Comparison:
    nothing = dict.fromkeys(("low", "high", "dm_statistic", "dm_p_value", "minimum_detectable_effect"))
    return row.model_copy(update=nothing | {"outcome": "no verdict", "reason": "41 windows are too few"})


def undecided_scores(scores: Scores) -> Scores:
    """The same numbers from too few windows."""
    skill = {
        name: BaselineSkill(
            squared_log_error={t: undecided(row) for t, row in by.squared_log_error.items()},
            absolute_log_error={t: undecided(row) for t, row in by.absolute_log_error.items()},
        )
        for name, by in scores.skill.items()
    }
    changed = scores.model_copy(
        update={"skill": skill, "confidence_set": None, "confidence_set_reason": "41 windows are too few"}
    )
    text = point_text(changed.headline, changed.best_baseline, 0.95)
    verdict = scores.verdict.model_copy(update={"outcome": "no verdict", "text": text})
    return changed.model_copy(update={"verdict": verdict})


def undecided_perturbation(row: PerturbationResult) -> PerturbationResult:
    bare = {"low": None, "high": None}
    return row.model_copy(
        update={
            "fragile": None,
            "fragile_reason": "16 windows are too few",
            "excess_low": None,
            "excess_high": None,
            "degradation": row.degradation.model_copy(update=bare),
            "walk_degradation": row.walk_degradation.model_copy(update=bare),
        }
    )


def test_a_run_without_a_verdict_says_why_in_page_and_summary(evidence: Evidence) -> None:
    perturbations = tuple(map(undecided_perturbation, evidence.findings.perturbations))
    findings = evidence.findings.model_copy(update={"perturbations": perturbations})
    bare = replace(evidence, scores=undecided_scores(evidence.scores), findings=findings)
    page = checked(render_page(bare, SETTINGS, "a run")).text
    for shown in (page, render_summary(bare, "a run")):
        assert "There is no verdict on whether the point forecast is better than the best baseline" in shown
        assert "41 windows are too few" in shown
        assert f"None of {len(perturbations)} perturbations can be judged: 16 windows are too few." in shown
        assert "None," not in shown


def test_a_skill_too_far_away_to_be_drawn_stands_at_the_edge(evidence: Evidence) -> None:
    """A baseline that is right but for rounding."""
    close = evidence.scores.skill["last_close"]
    far = close.squared_log_error["overall"].model_copy(update={"skill": -1e24, "low": None, "high": None})
    by_target = close.squared_log_error | {"overall": far}
    skill = evidence.scores.skill | {"last_close": close.model_copy(update={"squared_log_error": by_target})}
    scores = evidence.scores.model_copy(update={"skill": skill})
    page = render_page(replace(evidence, scores=scores), SETTINGS, "a run")
    assert "below −1000.0 %" in checked(page).text
    assert "000000000000" not in page[: page.index('id="provenance"')]


def test_what_earlier_code_did_not_keep_is_missing_in_one_sentence(evidence: Evidence) -> None:
    """Losses by window, skill by year, medians: the page has the rest, and says what it lacks."""
    scores = evidence.scores.model_copy(update={"regimes": None})
    bare = checked(render_page(replace(evidence, losses=None, scores=scores), SETTINGS, "before")).text
    assert bare.count("This run was evaluated by earlier code, which kept no losses by window") == 1


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


def test_the_page_of_a_failed_run_says_which_step_why_and_escapes_what_it_was_given() -> None:
    end = EndPage(
        run_name="a run", status="failed", step="train",
        texts=failure_texts("a run", "<b>.csv", "no memory & no room", "Again."),
        steps={"prepare_data": "3 s", "train": "failed", "evaluate": "not run"}, last_lines=["epoch 1", "<script>"],
    )  # fmt: skip
    page = end_page(end)
    found = checked(page)
    assert (found.faults, found.open) == ([], [])
    assert "RUN FAILED in the step train" in found.text
    assert "no memory & no room" in found.text
    assert "<script>" in found.text
    assert "<script" not in page
