"""What the model itself would have scored, where its forecasts keep only a share of what it learned."""

import numpy as np

from model_core.axes import CLOSE
from model_core.config.run import EvaluationSettings
from model_core.evaluation.baselines import BaselineForecast
from model_core.evaluation.calibrated import forecast_distribution
from model_core.evaluation.predict import Predictions
from model_core.evaluation.significance import Losses, compare
from model_core.results.scores import Unshrunk
from model_core.results.skill import Comparison


def unshrunk_scores(
    predictions: Predictions, best: BaselineForecast, settings: EvaluationSettings
) -> Unshrunk | None:
    """The model as it is beside the forecasts that were made; None where nothing was shrunk.

    Args:
        best: the best baseline for the point forecast.
    """
    whole = predictions.unshrunk
    if whole is None:
        return None
    true, horizon = predictions.true, predictions.true.shape[1]

    def against(ours: Losses, theirs: Losses) -> Comparison:
        return compare(ours, theirs, horizon=horizon, confidence=settings.confidence)

    squared, shrunk, bar = (
        np.square(forecast - true).mean(axis=(1, 2))
        for forecast in (whole.forecast, predictions.forecast, best.displacement)
    )
    ours, theirs = forecast_distribution(predictions), forecast_distribution(whole)
    crps = gain = None
    if ours is not None and theirs is not None:
        kept, model = (d.element(CLOSE).crps(true[..., CLOSE]).mean(axis=1) for d in (ours, theirs))
        crps, gain = float(model.mean()), against(kept, model)
    return Unshrunk(
        skill=against(squared, bar), gain=against(shrunk, squared), close_crps=crps, close_crps_gain=gain
    )
