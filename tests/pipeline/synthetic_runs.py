"""Records of runs that never were: as ``run.json`` has them, thousands in seconds."""

from pathlib import Path

import numpy as np

from model_core.artifacts import replace_json
from model_core.config.run import Settings
from model_core.results.headline import Headline
from model_core.results.run import RECORD, SUCCEEDED, RunRecord
from model_core.results.skill import SkillInterval


def synthetic_record(number: int, **changes: object) -> RunRecord:
    """A run that succeeded; every fourth has the settings of the one before and another seed."""
    rng = np.random.default_rng(number)
    settings = Settings().model_dump(mode="json")
    settings["training"]["seed"] = number % 4
    settings["training"]["learning_rate"] = 1e-4 * (1 + number // 4 % 25)
    skill, half = rng.normal(0, 0.03), rng.uniform(0.01, 0.05)
    headline = Headline(
        windows=998,
        first_date="2014-12-31",
        last_date="2018-12-31",
        pred_len=10,
        confidence=0.95,
        mae_log=float(0.0155 + rng.normal(0, 0.0002)),
        best_baseline="ridge regression",
        outcome="no evidence either way",
        skill=SkillInterval(skill=skill, low=skill - half, high=skill + half),
        best_distribution="HAR Gaussian",
        crps_outcome="no evidence either way",
        crps_skill=SkillInterval(skill=skill / 2, low=skill / 2 - half, high=skill / 2 + half),
        fragile=("noise",) * (number % 3),
        perturbations=12,
        broken=(),
        source_sha256=f"{number // 100:064x}",
    )
    record = RunRecord(
        name=f"run-{number:04}",
        source="sample://nasdaq",
        started_at=f"2026-01-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00+00:00",
        status=SUCCEEDED,
        code_version="0123abcd",
        settings=settings,
        seconds=60.0 + number,
        headline=headline,
    )
    return record.model_copy(update=changes)


def write_record(runs: Path, record: RunRecord) -> None:
    """Into its folder."""
    (runs / record.name).mkdir(parents=True, exist_ok=True)
    replace_json(runs / record.name / RECORD, record.model_dump(mode="json"))
