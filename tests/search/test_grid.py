"""The candidates that come with the search, and the order of their runs."""

import math

from benchmarks.search.grid import Candidate, load_grid
from benchmarks.search.workers import tasks_of
from benchmarks.settings_search import GRID
from tests.search.kit import TINY


def test_no_candidate_takes_more_than_200_steps() -> None:
    """At the last origin of the samples, whose training span is the longest: 3,051 windows."""
    candidates, seeds = load_grid(GRID)
    assert 24 <= len(candidates) <= 40
    assert len(seeds) >= 2
    for candidate in candidates:
        training = candidate.settings.training
        windows = math.ceil(3051 / training.train_window_stride)
        steps = math.ceil(windows / (training.batch_size * training.gradient_accumulation_steps))
        assert steps * training.train_epochs <= 200, candidate.name


def test_every_candidate_is_another_model_or_training() -> None:
    candidates, _ = load_grid(GRID)
    assert len({candidate.digest for candidate in candidates}) == len(candidates)
    assert all(candidate.settings.model.use_mixture_decoder for candidate in candidates)


def test_all_candidates_go_through_a_round_before_the_next_begins() -> None:
    candidates = [Candidate(name, {}, TINY) for name in "ab"]
    tasks = tasks_of(candidates, [("x", 0), ("x", 1), ("y", 0), ("y", 1)], [7, 8])
    rounds = [(task.seed, task.origin, task.market) for task in tasks[::2]]
    assert [task.candidate for task in tasks] == [0, 1] * 8
    assert rounds == [(seed, origin, market) for seed in (7, 8) for origin in (0, 1) for market in "xy"]
