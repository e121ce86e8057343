"""What a run leaves, from seeded random numbers and no model: any processor makes the same of it but for last bits."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components.evaluate.step import interval_coverage
from model_core.axes import TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.har import fit_har_scale
from model_core.data.walk import KnownRanges, displacements, fit_structured_walk, range_scale
from model_core.evaluation.baselines import BaselineForecast, baseline_forecasts
from model_core.evaluation.departure import BASE, target_departure
from model_core.evaluation.importance import parts_of
from model_core.evaluation.intervals import forecast_quantiles
from model_core.evaluation.predict import Predictions
from model_core.evaluation.regimes import WindowLosses, loss_table
from model_core.evaluation.scores import scores
from model_core.evaluation.significance import compare
from model_core.evaluation.table import prediction_table
from model_core.manifest import FileRecord, Manifest
from model_core.nn.bundles import Mixture
from model_core.report.evidence import Evidence
from model_core.results.departure import Departure, InputResponse
from model_core.results.explanation import Explanation
from model_core.results.findings import Findings
from model_core.results.importance import SkyImportance, WaveImportance
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.skill import Comparison
from model_core.results.training import Checkpoint, TrainResults
from tests.results.test_records import EARLIER
from tests.training.tiny import tiny_dataset

SETTINGS = EvaluationSettings(device="cpu")
COMPONENTS = 2


@cache
def market() -> MarketDataset:
    """400 weekdays of random candles under a random sky, with the walk and the scale that fit them."""
    random = np.random.default_rng(11)
    dataset = tiny_dataset(rows=400)
    waves = dataset.waves.copy()
    close = 4 + np.cumsum(0.01 * random.standard_normal(len(waves)))
    opened = close + 0.004 * random.standard_normal(len(waves))
    above, below = 0.006 * random.random((2, len(waves)))
    waves[:, :4] = np.stack(
        [opened, np.maximum(opened, close) + above, np.minimum(opened, close) - below, close], axis=1
    )
    known = KnownRanges.of(waves[:, :4], dataset.scale_rows, dataset.walk.days)
    train, horizon = dataset.splits.train, dataset.window.pred_len
    walk = fit_structured_walk(known, dataset.splits, horizon)
    left_over = displacements(known.log_prices, train, horizon) - known.displacement(walk, train)
    har_scale = fit_har_scale(known.ranges[train.first : train.stop], left_over, known.days)
    return replace(dataset, waves=waves, walk=walk, har_scale=har_scale)


@cache
def forecasts() -> Predictions:
    """The walk's candles with some of the truth in them, and a mixture around each."""
    random, dataset = np.random.default_rng(12), market()
    test = dataset.splits.test
    rows = np.arange(test.first, test.stop)
    true = displacements(dataset.log_prices, test, dataset.window.pred_len)
    scale = range_scale(dataset.log_prices, dataset.scale_rows)[rows]
    walk = dataset.known_ranges.displacement(dataset.walk, test)
    days = dataset.dates[rows[:, None] + np.arange(dataset.window.pred_len + 1)]
    shape = (*true.shape[:2], COMPONENTS)
    mean = (walk / scale[:, None, None])[:, :, None] + 0.3 * random.standard_normal((*shape, 4))
    return Predictions(
        forecast=walk + 0.1 * (true - walk).mean(axis=2, keepdims=True),
        true=true,
        anchor=dataset.log_prices[rows, 3],
        scale=scale,
        dates=days.astype("datetime64[D]"),
        mixture=Mixture(
            logits=torch.from_numpy(random.standard_normal(shape)),
            mean=torch.from_numpy(mean),
            log_scale=torch.from_numpy(0.2 * random.standard_normal((*shape, 4)) + 0.3),
        ),
    )


@cache
def baselines() -> tuple[BaselineForecast, ...]:
    """All of them."""
    return baseline_forecasts(market(), market().splits.test, SETTINGS)


def scored() -> Scores:
    """The scores of those forecasts."""
    return evaluated()[0]


@cache
def evaluated() -> tuple[Scores, WindowLosses]:
    """Scores and losses of those forecasts."""
    p = forecasts()
    quantiles, kind = forecast_quantiles(p, forecasts)
    return scores(
        market(),
        p,
        baselines(),
        SETTINGS,
        title="some numbers",
        checkpoint=Checkpoint(epoch=2, validation_loss=0.5),
        coverage=interval_coverage(p, quantiles, kind),
        departure=departure(),
        training=read_result(TrainResults, EARLIER),
    )


def departure() -> Departure:
    """That of those forecasts, with responses that somebody wrote down."""
    p, dataset = forecasts(), market()
    walk = dataset.known_ranges.displacement(dataset.walk, dataset.splits.test)
    inputs = {"prices": (0.002, 0.11, 0.3), "sky": (0.001, 0.055, 0.2), "calendar": (0.0, 0.0, 0.0)}
    return Departure(
        base=BASE,
        step=dataset.window.pred_len,
        targets={
            name: target_departure(
                (p.forecast - walk)[:, -1, k],
                (p.true - walk)[:, -1, k],
                horizon=dataset.window.pred_len,
                confidence=SETTINGS.confidence,
            )
            for k, name in enumerate(TARGETS)
        },
        width=0.25,
        exchanged_windows=len(p),
        inputs={
            name: InputResponse(size=size, share=share, width=width)
            for name, (size, share, width) in inputs.items()
        },
    )


def evidence(folder: Path) -> Evidence:
    """A run with those forecasts and the scores in ``folder``; the rest is what a run once left."""
    p = forecasts()
    quantiles, _ = forecast_quantiles(p, forecasts)
    walk = next(b.displacement for b in baselines() if b.name == "structured_walk")
    steps = ("prepare_data", "train", "evaluate", "diagnose")
    return Evidence(
        dataset=market(),
        manifests={step: manifest(step) for step in steps},
        training=read_result(TrainResults, EARLIER),
        history=history(),
        explanation=read_result(Explanation, EARLIER).model_copy(update={"importance": importance()}),
        scores=read_result(Scores, folder),
        predictions=prediction_table(p, walk, quantiles).to_pandas(),
        findings=read_result(Findings, EARLIER),
        losses=loss_table(p, evaluated()[1]).to_pandas(),
    )


def importance() -> SkyImportance:
    """Of a model whose error grows a little by each part of the sky that it is shown falsely."""
    random = np.random.default_rng(11)
    windows, horizon = 200, 3

    def against(growth: float) -> Comparison:
        true = random.gamma(4.0, size=windows)
        exchanged = true * (1 + growth * random.normal(1, 2, windows).clip(0))
        return compare(true, exchanged, horizon=horizon, confidence=SETTINGS.confidence)

    return SkyImportance(
        windows=windows,
        draws=1,
        block=2 * horizon,
        parts=tuple(
            WaveImportance(
                group=part.group,
                name=part.name,
                waves=len(part.columns),
                point=against(0.01),
                distribution=against(0.002),
            )
            for part in parts_of("ephemeris")
        ),
    )


def history() -> pd.DataFrame:
    """Three epochs of which the second is the best."""
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_loss": [0.9, 0.7, 0.6],
            "validation_loss": [0.8, 0.5, 0.55],
            "learning_rate": [1e-3, 5e-4, 2.5e-4],
        }
    )


def manifest(step: str) -> Manifest:
    """What vouches for the folder of a step, in another life."""
    return Manifest(
        schema_version=2,
        producer=step,
        settings={step: {"a_setting": 1}},
        files={"a_file.json": FileRecord(sha256="0" * 64, size=1234)},
        code_version="0" * 12,
        git_commit="1" * 40,
        versions={"python": "3"},
        seed=2024,
        inputs={},
        created_at="2026-01-01T00:00:00+00:00",
        sha256="2" * 64,
    )
