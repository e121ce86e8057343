"""Step 3: the best checkpoint, scored on every test window beside baselines."""

import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.tracking.entries import score_metrics
from components.tracking.running import log_results
from model_core.artifacts import open_artifact, staged_folder, write_manifest
from model_core.axes import CLOSE, TARGETS
from model_core.checkpoints.loading import load_model
from model_core.checkpoints.local import BEST
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.windows import WindowSet
from model_core.errors import InvariantError
from model_core.evaluation.baselines import baseline_forecasts
from model_core.evaluation.departure import departure_of
from model_core.evaluation.explanation import explain_model
from model_core.evaluation.importance import sky_importance
from model_core.evaluation.intervals import forecast_quantiles
from model_core.evaluation.predict import Predictions, evaluate_model
from model_core.evaluation.regimes import loss_table
from model_core.evaluation.scores import scores
from model_core.evaluation.table import prediction_table
from model_core.evaluation.verdict import percent
from model_core.lineage import say_if_other_dataset
from model_core.metrics.calibration import NOMINAL
from model_core.results.calibration import JUDGED
from model_core.results.record import read_result, write_result
from model_core.results.scores import MODEL, Coverage, IntervalKind, Scores
from model_core.results.tables import LOSSES
from model_core.results.training import TrainResults
from model_core.training.precision import resolve_device
from model_core.training.threads import use_threads

log = logging.getLogger("pgat.evaluate")
Values = NDArray[np.float64]

_TITLES = {
    "celestial_enhanced_pgat": "Celestial Enhanced PGAT",
    "enhanced_pgat": "Enhanced PGAT (base model)",
}


def run(
    *,
    dataset: Path,
    model: Path,
    evaluation: Path,
    settings: EvaluationSettings,
    report_follows: bool = False,
) -> dict[str, float]:
    """Score the best checkpoint of ``model`` on all test windows of ``dataset``.

    Args:
        dataset: output folder of ``prepare_data``.
        model: output folder of ``train``.
        evaluation: output folder: ``predictions.parquet``, ``losses.parquet``, ``scores.json``, ``explanation.json``.
        settings: the ``evaluation`` section.
        report_follows: whether a report is made of the scores, which says what is broken and then fails itself.

    Returns:
        Errors of the model and the best baseline, and the skill with its interval; the same of the distribution of
        Close, if the model forecasts one.

    Raises:
        ArtifactError, CheckpointError: an input is missing or damaged.
        InvariantError: a forecast candle is invalid, and no report follows; the scores are written all the same.
    """
    prepared = MarketDataset.open(dataset)
    say_if_other_dataset(open_artifact(model, producer="train"), dataset)
    device = resolve_device(settings.device)
    use_threads()
    loaded = load_model(model / BEST, device)
    loaded.inputs.refuse_other_windows(prepared)
    log.info("best checkpoint: %s", loaded.checkpoint.in_words)
    training = read_result(TrainResults, model)
    with staged_folder(evaluation) as folder:
        windows = WindowSet(prepared, "test", device)
        predictions = evaluate_model(
            loaded.model, windows, settings.batch_size, what="forecasting test windows"
        )
        baselines = baseline_forecasts(prepared, prepared.splits.test, settings)
        quantiles, kind = forecast_quantiles(
            predictions,
            lambda: evaluate_model(
                loaded.model,
                WindowSet(prepared, "validation", device),
                settings.batch_size,
                what="forecasting validation windows",
            ),
        )
        result, losses = scores(
            prepared,
            predictions,
            baselines,
            settings,
            title=_TITLES[loaded.settings.kind],
            checkpoint=loaded.checkpoint,
            coverage=interval_coverage(predictions, quantiles, kind),
            departure=departure_of(
                loaded.model,
                windows,
                predictions,
                confidence=settings.confidence,
                batch_size=settings.batch_size,
            ),
            training=training,
        )
        walk = next(b.displacement for b in baselines if b.name == "structured_walk")
        pq.write_table(
            prediction_table(predictions, walk, quantiles), folder / "predictions.parquet", compression="zstd"
        )
        pq.write_table(loss_table(predictions, losses), folder / LOSSES.file, compression="zstd")
        write_result(folder, result)
        importance = sky_importance(
            loaded.model,
            windows,
            prepared.layout,
            at_most=settings.importance_windows,
            draws=settings.importance_draws,
            confidence=settings.confidence,
            batch_size=settings.batch_size,
        )
        write_result(folder, explain_model(loaded.model, windows, settings.batch_size, importance))
        write_manifest(
            folder,
            producer="evaluate",
            settings={"evaluation": settings.model_dump(mode="json")},
            inputs={"dataset": dataset, "model": model},
        )
    log_results(score_metrics(result), {Scores.file: evaluation / Scores.file})
    for sentence in result.verdict.sentences:
        log.info(sentence)
    if result.candles.invalid_share > 0:
        said = (
            f"{percent(result.candles.invalid_share, 2)} of the forecast candles are invalid (High below or Low above "
            "Open and Close), which the heads rule out; please report this with the checkpoint"
        )
        if not report_follows:
            raise InvariantError(said)
        log.error("INVARIANT FAILED: %s", said)
    return _headline(result)


def interval_coverage(p: Predictions, quantiles: dict[str, Values], kind: IntervalKind) -> Coverage:
    """How many true prices lie between the outer quantiles [n, P, T]."""
    inside = (p.true >= quantiles["q05"]) & (p.true <= quantiles["q95"])
    return Coverage(
        kind=kind,
        nominal=NOMINAL,
        overall=float(inside.mean()),
        per_target={name: float(inside[..., k].mean()) for k, name in enumerate(TARGETS)},
    )


def _headline(result: Scores) -> dict[str, float]:
    forecasts, skill, calibration = result.forecasts, result.headline, result.calibration
    headline = {
        "mae_price": forecasts[MODEL].metrics.price.overall.mae,
        "mae_log": forecasts[MODEL].metrics.log.overall.mae,
        "best_baseline_mae_log": forecasts[result.best_baseline].metrics.log.overall.mae,
        "skill_vs_best_baseline": skill.skill,
        "skill_low": skill.low,
        "skill_high": skill.high,
        "best_baseline_crps_close": calibration.best.targets[TARGETS[CLOSE]].crps,
    }
    if calibration.model is not None and calibration.headline is not None:
        close = calibration.model[TARGETS[CLOSE]]
        headline |= {
            "crps_close": close.crps,
            "crps_skill_vs_best_baseline": calibration.headline.skill,
            "crps_skill_low": calibration.headline.low,
            "crps_skill_high": calibration.headline.high,
            "coverage_90_close": close.coverage[JUDGED],
        }
    # Without a verdict there is no interval; a metric is a number or is left out.
    return {name: value for name, value in headline.items() if value is not None}
