"""The champion's forecasts for the test windows of this run: its old scores are of other windows."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model_core.checkpoints.loading import load_model
from model_core.checkpoints.local import BEST
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.windows import WindowSet
from model_core.disk import temporary_folder
from model_core.errors import UserError
from model_core.evaluation.intervals import forecast_quantiles
from model_core.evaluation.predict import evaluate_model
from model_core.evaluation.table import prediction_table
from model_core.progress import ProgressMeter
from model_core.store.locate import check_uri, open_store
from model_core.store.names import contained

log = logging.getLogger("pgat.register")


@dataclass(frozen=True)
class Champion:
    """A registered version of the model.

    Args:
        name: what a sentence calls it.
        uri: of its folder; None if the registry does not say.
        learned_until: last day that it has learned from, YYYY-MM-DD; empty if the registry does not say.
    """

    name: str
    uri: str | None
    learned_until: str = ""


def champion_predictions(champion: Champion, dataset: Path, settings: EvaluationSettings) -> pd.DataFrame:
    """What the champion forecasts for the test windows of ``dataset``, as ``predictions.parquet`` has it.

    Raises:
        UserError: its model cannot be read, or reads other windows; the message names the champion.
    """
    try:
        if not champion.uri:
            raise UserError("the registry does not say where it is")
        with temporary_folder() as folder:
            _fetch(champion.uri, folder)
            return _forecast(folder / BEST, dataset, settings, champion)
    except UserError as error:
        raise UserError(
            f"{champion.name} cannot be compared with: {str(error).partition('; ')[0]}; archive that version in the "
            "registry, make its model readable, or register under another --registered-name"
        ) from error


def _fetch(uri: str, folder: Path) -> None:
    """Download the best checkpoint of the model at ``uri``; its files are checked when it is loaded."""
    check_uri(uri)
    store = open_store(uri)
    keys = list(store.keys(f"{BEST}/"))
    if not keys:
        raise UserError(f"{uri} holds no model")
    with ProgressMeter(f"fetching {uri}", len(keys), "files") as meter:
        for key in keys:
            store.download(key, contained(folder, key))
            meter.update()


def _forecast(
    checkpoint: Path, dataset: Path, settings: EvaluationSettings, champion: Champion
) -> pd.DataFrame:
    prepared = MarketDataset.open(dataset)
    loaded = load_model(checkpoint, "cpu")
    loaded.inputs.refuse_other_windows(prepared)
    windows = WindowSet(prepared, "test", "cpu")
    predictions = evaluate_model(
        loaded.model, windows, settings.batch_size, what=f"forecasting by {champion.name}"
    )
    quantiles, _ = forecast_quantiles(
        predictions,
        lambda: evaluate_model(loaded.model, WindowSet(prepared, "validation", "cpu"), settings.batch_size),
    )
    first = str(predictions.dates[0, 1])
    if champion.learned_until >= first:
        log.warning(
            "%s has learned from days up to %s, and the test windows begin on %s, so the comparison favors it",
            champion.name,
            champion.learned_until,
            first,
        )
    walk = prepared.known_ranges.displacement(prepared.walk, prepared.splits.test)
    return prediction_table(predictions, walk, quantiles).to_pandas()
