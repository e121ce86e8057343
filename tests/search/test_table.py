"""How candidates are ranked."""

import math
import statistics
from typing import Any

import pytest

from benchmarks.search.grid import CENTRE
from benchmarks.search.table import agreements, chosen_epoch, markdown, ranking


def run_of(
    candidate: str, origin: int, crps: list[float], seed: int = 1, **losses: list[float]
) -> dict[str, Any]:
    """A record whose scores are the same on both spans but for what ``losses`` says of validation."""
    epochs = []
    for epoch, value in enumerate(crps):
        scored = dict.fromkeys(("loss", "nll", "crps", "crps_close", "mse"), value)
        chosen = scored | {name: values[epoch] for name, values in losses.items()}
        epochs.append({"train_loss": None, "validation": chosen, "held_out": scored})
    bars = {"held_out": {"walk_mse": 1.0, "har_crps_close": 2.0, "ewma_crps_close": 4.0}}
    return {
        "candidate": candidate, "market": "m", "origin": origin, "seed": seed, "changes": {}, "bars": bars,
        "epochs": epochs, "seconds": 1.0, "parameters": 5,
    }  # fmt: skip


def test_candidates_are_ranked_by_their_skill_over_the_untrained_centre() -> None:
    runs = [
        run_of(CENTRE, 0, [1.0, 0.95]), run_of(CENTRE, 1, [1.0, 1.1]),
        run_of("good", 0, [1.0, 0.9]), run_of("good", 1, [1.0, 0.8]),
    ]  # fmt: skip
    good, centre = ranking(runs)
    assert (good["candidate"], good["rank"], centre["candidate"]) == ("good", 1, CENTRE)
    assert good["skill"] == pytest.approx(15)
    assert good["skill_error"] == pytest.approx(statistics.stdev([10, 20]) / math.sqrt(2), abs=1e-3)
    # The centre's second origin is best untrained: 5 % and nothing.
    assert (centre["skill"], centre["untrained_best_share"]) == (2.5, 0.5)
    assert centre["last_epoch_skill"] == pytest.approx((5 - 10) / 2)
    assert good["over_har_gaussian"] == pytest.approx(100 * (1 - 0.85 / 2))
    assert good["over_ewma"] == pytest.approx(100 * (1 - 0.85 / 4))
    assert good["over_centre"] == pytest.approx(100 * (2 - 0.9 / 0.95 - 0.8) / 2, abs=1e-3)


def test_seeds_of_an_origin_count_as_one() -> None:
    runs = [run_of(CENTRE, o, [1.0, 1.0 - s / 10], seed=s) for o in (0, 1) for s in (1, 2, 3)]
    (row,) = ranking(runs)
    assert (row["skill"], row["skill_error"], row["cells"], row["runs"]) == (20, 0, 2, 6)


def test_a_round_that_a_candidate_lacks_is_left_out() -> None:
    runs = [run_of(CENTRE, 0, [1.0, 0.9]), run_of("x", 0, [1.0, 0.9]), run_of("x", 1, [1.0, 0.1])]
    assert [row["skill"] for row in ranking(runs)] == [10, 10]


def test_an_untrained_model_of_another_width_is_measured_by_the_centres() -> None:
    runs = [run_of(CENTRE, 0, [1.0, 1.0]), run_of("wide", 0, [2.0, 1.5])]
    row = next(row for row in ranking(runs) if row["candidate"] == "wide")
    assert (row["skill"], row["over_own_untrained"]) == (-50, 25)


def test_the_epoch_is_chosen_by_validation_and_patience_ends_a_run() -> None:
    run = run_of(CENTRE, 0, [1.0, 1.2, 1.1, 0.9, 0.95], nll=[1.0, 0.5, 0.7, 0.8, 0.6])
    assert chosen_epoch(run, "loss") == 3
    assert chosen_epoch(run, "nll") == 1
    assert chosen_epoch(run, "loss", patience=2) == 0
    assert chosen_epoch(run, "loss", patience=3) == 3


def test_the_markdown_table_has_a_line_a_candidate() -> None:
    lines = list(markdown(ranking([run_of(CENTRE, 0, [1.0, 0.9]), run_of(CENTRE, 1, [1.0, 0.8])])))
    assert len(lines) == 3
    assert lines[2].startswith("| 1 | centre | +15.00 ± 5.00 |")


@pytest.mark.parametrize(("came", "correlation", "same_sign"), [(1.0, 1.0, 2), (-1.0, -1.0, 0)])
def test_what_validation_says_of_close_is_compared_with_what_came(
    came: float, correlation: float, same_sign: int
) -> None:
    """Gains of 10 and −20 % on validation, and ``came`` times that on the held-out span."""
    runs = []
    for name, gain in (("one", 0.1), ("another", -0.2), ("untrained", 0.5)):
        run = run_of(name, 0, [1.0, 2.0 if name == "untrained" else 0.5])
        run["bars"] = {span: {"walk_mse_close": 4.0} for span in ("validation", "held_out")}
        for span, sign in (("validation", 1.0), ("held_out", came)):
            run["epochs"][1][span] = run["epochs"][1][span] | {"mse_close": 4.0 * (1 - sign * gain)}
        runs.append(run)
    (row,) = agreements(runs)
    assert (row["runs"], row["same_sign"]) == (2, same_sign)
    assert row["correlation"] == pytest.approx(correlation)
    assert row["kept_if_it_gains"] == pytest.approx(10 * came / 2)
    assert row["always_kept"] == pytest.approx(-10 * came / 2)
