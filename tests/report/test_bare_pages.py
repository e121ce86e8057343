"""Pages of runs without a verdict, with numbers out of reach, or without what earlier code did not keep."""

from dataclasses import replace

from model_core.config.run import ReportSettings
from model_core.evaluation.verdict import point_text
from model_core.report.evidence import Evidence
from model_core.report.page import render_page, render_summary
from model_core.results.findings import PerturbationResult
from model_core.results.scores import BaselineSkill, Scores
from model_core.results.skill import Comparison
from tests.report.checker import checked

SETTINGS = ReportSettings(example_windows=2)


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
