"""What stands below a figure follows from its numbers: results that contradict the usual ones give other sentences."""

import numpy as np
import pytest

from model_core.report import captions
from model_core.report.bands import Band, block_band, rolling_mean, share_band, stretch_of
from model_core.report.calibration_figures import Judged
from model_core.report.graph_figures import effective_number
from model_core.report.regime_figures import LossPair
from model_core.report.sky_worth import worth_caption, worth_rows
from model_core.results.calibration import Calibrated
from model_core.results.importance import SkyImportance, WaveImportance
from model_core.results.scores import MODEL, ForecastScore
from model_core.results.skill import Comparison, Outcome
from tests.conftest import GOLDEN
from tests.report.synthetic import evidence

WINDOWS, HORIZON, CONFIDENCE = 1000, 10, 0.95


def model() -> ForecastScore:
    return evidence(GOLDEN).scores.forecasts[MODEL]


def with_errors(**mae: float) -> ForecastScore:
    found = model()
    log = found.metrics.log
    by_target = {
        name: errors.model_copy(update={"mae": mae[name.lower()]}) for name, errors in log.per_target.items()
    }
    steps = tuple(
        step.model_copy(update={"mae": size})
        for step, size in zip(log.per_step, (0.03, 0.02, 0.01), strict=True)
    )
    scale = log.model_copy(update={"per_target": by_target, "per_step": steps})
    return found.model_copy(update={"metrics": found.metrics.model_copy(update={"log": scale})})


def test_the_hardest_target_is_the_one_with_the_largest_error() -> None:
    assert "most on Low" in captions.target_caption(with_errors(open=0.01, high=0.02, low=0.04, close=0.03))
    assert "most on High" in captions.target_caption(with_errors(open=0.01, high=0.05, low=0.04, close=0.03))
    assert "as much on each" in captions.target_caption(
        with_errors(open=0.01, high=0.01, low=0.01, close=0.01)
    )


def test_an_error_that_shrinks_with_the_day_is_not_said_to_grow() -> None:
    shrinking = with_errors(open=0.01, high=0.02, low=0.04, close=0.03)
    assert "shrinks from 3.00 % on day 1 to 1.00 %" in captions.horizon_caption(shrinking)


def judged(*pit: float, thirds: tuple[float, float, float] = (0.9, 0.9, 0.9)) -> Judged:
    calibrated = Calibrated(
        crps=0.01,
        coverage={"90%": 0.9},
        coverage_by_volatility={
            name: {"90%": share} for name, share in zip(("calm", "medium", "wild"), thirds, strict=True)
        },
        pit=pit,
    )
    return Judged("the model", calibrated, None)


LEVEL = (0.1,) * 10


@pytest.mark.parametrize(
    ("pit", "tilt", "width"),
    [
        (LEVEL, "no tilt beyond chance", "no sign of a wrong width"),
        ((0.25, *(0.0625,) * 8, 0.25), "no tilt beyond chance", "too narrow"),
        ((0.02, *(0.12,) * 8, 0.02), "no tilt beyond chance", "too wide"),
        ((0.02, 0.02, 0.04, 0.06, 0.08, 0.1, 0.14, 0.16, 0.18, 0.2), "so it lies too low", "no sign"),
        ((0.2, 0.18, 0.16, 0.14, 0.1, 0.08, 0.06, 0.04, 0.02, 0.02), "so it lies too high", "no sign"),
    ],
)
def test_the_tilt_and_the_width_of_a_distribution_are_read_from_its_bars(
    pit: tuple[float, ...], tilt: str, width: str
) -> None:
    band = share_band(0.1, WINDOWS, HORIZON, CONFIDENCE)
    said = captions.pit_caption(judged(*pit), WINDOWS, HORIZON, CONFIDENCE, band)
    assert tilt in said
    assert width in said


def test_the_same_bars_of_few_windows_say_nothing() -> None:
    band = share_band(0.1, 40, HORIZON, CONFIDENCE)
    assert band is None
    assert "too few independent windows" in captions.pit_caption(
        judged(*LEVEL), 40, HORIZON, CONFIDENCE, band
    )


def test_an_interval_that_is_wide_in_calm_and_narrow_in_wild_markets_is_told_so() -> None:
    band = Band(0.85, 0.95)
    said = captions.thirds_caption(judged(*LEVEL, thirds=(0.97, 0.9, 0.8)), band)
    assert "too wide in calm markets and too narrow in wild markets" in said
    assert "all within chance" in captions.thirds_caption(judged(*LEVEL), band)


def row(outcome: Outcome) -> Comparison:
    return Comparison(
        skill=0.1, low=None, high=None, outcome=outcome, reason="few", dm_statistic=None, dm_p_value=None,
        minimum_detectable_effect=None,
    )  # fmt: skip


def test_the_skill_caption_counts_outcomes() -> None:
    rows = {"a": row("better"), "b": row("worse"), "c": row("worse"), "d": row("no verdict")}
    said = captions.skill_caption(rows, CONFIDENCE)
    assert "better in 1 of 4, worse in 2, no evidence in 0, too few windows in 1" in said


def test_an_even_graph_is_called_uniform_and_a_sharp_one_is_not() -> None:
    even = [[0.25] * 4] * 4
    sharp = np.eye(4).tolist()
    assert effective_number(even) == pytest.approx(4)
    assert effective_number(sharp) == pytest.approx(1)
    assert "indistinguishable from uniform" in captions.graph_caption(even, "node", "A graph.", 1)
    assert ": not uniform" in captions.graph_caption(sharp, "node", "A graph.", 3)


def test_seeds_of_a_graph_are_counted_and_their_spread_stands_beside_what_they_found() -> None:
    graph, spread = [[0.3, 0.2], [0.2, 0.3]], [[0.01, 0.03], [0.03, 0.01]]
    assert "1 seed: how far another would differ is not known." in captions.graph_caption(
        graph, "node", "It.", 1
    )
    assert captions.graph_caption(graph, "node", "It.", 3).endswith("3 seeds, of which this is the mean.")
    said = captions.graph_caption(graph, "node", "It.", 3, spread)
    assert said.endswith("a share differs by 2.2 points from seed to seed, the mean by 5.0 from even ones.")


def test_an_error_that_looks_the_same_on_both_days_does_not_grow() -> None:
    found = with_errors(open=0.01, high=0.02, low=0.04, close=0.03)
    steps = tuple(
        step.model_copy(update={"mae": 0.01 + 1e-7 * step.step}) for step in found.metrics.log.per_step
    )
    log = found.metrics.log.model_copy(update={"per_step": steps})
    level = found.model_copy(update={"metrics": found.metrics.model_copy(update={"log": log})})
    assert "is 1.00 % on day 1 as on day 3" in captions.horizon_caption(level)


def test_comparisons_and_seeds_are_counted() -> None:
    run = evidence(GOLDEN)
    said = captions.evidence_base(run.scores, run.training)
    judged_rows = [r for r in captions.comparisons(run.scores) if r.outcome != "no verdict"]
    assert said.startswith("1 seed, 1 split")
    assert f"{len(judged_rows)} comparisons" in said
    assert f"about {0.05 * len(judged_rows):.0f} of them" in said


def test_what_was_gained_ends_at_the_skill_and_its_band_at_the_interval() -> None:
    random = np.random.default_rng(3)
    bar, model = random.random((2, 300)) + 1
    pair = LossPair("point forecast against it", model, bar)
    assert pair.gain[-1] == pytest.approx(100 * (1 - model.mean() / bar.mean()))
    assert len(pair.chance(5, CONFIDENCE)) == 300
    assert "the point forecast against it ends at" in captions.cumulative_caption([pair])


def test_a_band_holds_honest_forecasts_and_not_those_of_a_bad_year() -> None:
    random = np.random.default_rng(4)
    honest = np.repeat((random.random(100) < 0.9).astype(float), 10)
    band = block_band(honest, 120, 10, 0.9, CONFIDENCE)
    assert band.low < 0.9 < band.high
    bad = honest.copy()
    bad[-200:] = 0.4
    assert rolling_mean(bad, 120)[-1] < band.low
    assert np.allclose(rolling_mean(honest, 120)[0], honest[:120].mean())


def test_more_overlap_makes_the_band_wider() -> None:
    narrow, wide = (share_band(0.9, WINDOWS, horizon, CONFIDENCE) for horizon in (1, 20))
    assert narrow is not None
    assert wide is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide.side(0.5) == -1
    assert stretch_of(998, 10) == 126
    assert stretch_of(60, 10) is None


def test_the_golden_scores_hold_skill_by_year_and_by_volatility() -> None:
    found = evidence(GOLDEN).scores.regimes
    assert found is not None
    assert sum(part.windows for part in found.by_year.values()) == 58
    assert set(found.by_volatility) == {"calm", "medium", "wild"}
    assert "better in" in captions.regimes_caption(found)


def test_what_the_sky_is_worth_is_said_from_its_numbers_beside_what_chance_would_find() -> None:
    judged = evidence(GOLDEN).scores.headline.model_copy(update={"outcome": "better", "reason": None})

    def found(*outcomes: Outcome, draws: int = 1) -> SkyImportance:
        parts = tuple(
            WaveImportance(
                group="body",
                name=f"body {k}",
                waves=9,
                point=judged.model_copy(update={"outcome": outcome, "reason": "too short"}),
                distribution=None,
            )
            for k, outcome in enumerate(outcomes)
        )
        return SkyImportance(windows=100, draws=draws, block=4, parts=parts)

    said = worth_caption(found("better", "worse", *["no evidence either way"] * 18), 0.95)  # type: ignore[arg-type]
    assert "In 100 test windows a part of the sky came from other windows, 4 neighbors at a time. " in said
    assert "better in 1 of 20, worse in 1, no evidence in 18; by chance alone about 1 of 20 would" in said
    silent = worth_caption(found("no verdict", "no verdict", draws=3), 0.95)
    assert "4 neighbors at a time, 3 times each" in silent
    assert silent.endswith("no evidence in 0, too few windows in 2.")
    assert [row.title for row in worth_rows(found("better"))] == ["body 0"]
