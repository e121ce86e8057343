"""The review page of a real small run: whole, self-contained, valid, and honest about what is missing."""

import re
from dataclasses import replace

import pytest

from model_core.config.run import ReportSettings
from model_core.evaluation.verdict import DISTRIBUTION, POINT, headline, skill_words
from model_core.report import phrases
from model_core.report.ending import EndPage, end_page, failure_texts
from model_core.report.evidence import Evidence
from model_core.report.page import render_page, render_summary
from model_core.results.findings import SkyRead
from model_core.results.tables import PREDICTIONS
from tests.report.checker import checked

SETTINGS = ReportSettings(example_windows=2)


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    return render_page(evidence, SETTINGS, "a-run")


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


@pytest.mark.usefixtures("unprinted")
def test_a_page_without_a_departure_says_so(evidence: Evidence) -> None:
    scores = evidence.scores.model_copy(update={"departure": None})
    found = checked(render_page(replace(evidence, scores=scores), SETTINGS, "a run"))
    assert "evaluated by earlier code, which did not measure it" in found.text
    assert found.references <= set(found.ids)


@pytest.mark.usefixtures("unprinted")
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


@pytest.mark.usefixtures("unprinted")
def test_what_is_missing_is_said(evidence: Evidence) -> None:
    calibration = evidence.scores.calibration.model_copy(update={"model": None, "skill": None})
    scores = evidence.scores.model_copy(update={"calibration": calibration})
    bare = replace(evidence, explanation=None, scores=scores)
    found = checked(render_page(bare, SETTINGS, "bare"))
    assert "This run holds no explanation" in found.text
    assert "forecasts a point, not a distribution" in found.text
    assert "Whether a model without the celestial waves would forecast as well was not measured" in found.text
    assert "the true sky" not in found.text.lower()
    assert found.references <= set(found.ids)


@pytest.mark.usefixtures("unprinted")
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


@pytest.mark.usefixtures("unprinted")
def test_training_takes_as_long_in_the_header_as_in_its_section(evidence: Evidence) -> None:
    for alone, together, said in ((100.0, 60.0, "1 min 40 s"), (100.0, 300.0, "5 min 0 s")):
        times = {"seconds": alone, "seconds_of_all_attempts": together}
        run = replace(evidence, training=evidence.training.model_copy(update=times))
        assert checked(render_page(run, SETTINGS, "a-run")).text.count(said) == 2


def test_an_interval_is_not_broken_in_its_middle(page: str) -> None:
    assert re.search("\\[[+−][\\d.]+,\N{NO-BREAK SPACE}[+−]", page)
    assert not re.search("\\[[+−][\\d.]+, [+−]", page)


@pytest.mark.usefixtures("unprinted")
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


@pytest.mark.usefixtures("unprinted")
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


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (12345.6, "12,346"),
        (1.23456, "1.235"),
        (132, "132.0"),
        (999.97, "1000"),
        (0, "0"),
        (2e-7, "2.00e−07"),
    ],
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


@pytest.mark.usefixtures("unprinted")
def test_the_page_of_a_model_that_reads_no_sky_does_not_ask_what_the_sky_adds(evidence: Evidence) -> None:
    reads = SkyRead(past_sky=False, future_sky=False)
    blind = replace(evidence, findings=evidence.findings.model_copy(update={"reads": reads}))
    assert "This model reads no celestial waves." in render_page(blind, SETTINGS, "a-run")
    assert "was not measured in this run" in render_page(evidence, SETTINGS, "a-run")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            "better",
            "The true sky makes the point forecast of this model better than the sky of other days: skill ",
        ),
        (
            "worse",
            "The true sky makes the point forecast of this model worse than the sky of other days: skill ",
        ),
        (
            "no evidence either way",
            "There is no evidence that the true sky makes the point forecast of this model ",
        ),
        ("no verdict", "Whether a model without the celestial waves would forecast as well was not measured"),
    ],
)
def test_the_verdict_on_the_sky_is_that_of_the_whole_sky_exchanged(
    evidence: Evidence, outcome: str, said: str
) -> None:
    assert evidence.explanation is not None
    assert evidence.explanation.importance is not None
    whole, *others = evidence.explanation.importance.parts
    judged = whole.point.model_copy(update={"outcome": outcome, "reason": "too few windows"})
    parts = (*others, whole.model_copy(update={"point": judged}))
    importance = evidence.explanation.importance.model_copy(update={"parts": parts})
    explanation = evidence.explanation.model_copy(update={"importance": importance})
    told = phrases.verdict(replace(evidence, explanation=explanation)).celestial
    assert told.startswith(said)
    assert told.endswith("without the celestial waves would forecast as well was not measured in this run.")


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
