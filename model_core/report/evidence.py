"""What a report stands on: the verified artifacts of one run, read once. No torch."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model_core.artifacts import open_artifact
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.lineage import refuse_other_model, say_if_other_dataset
from model_core.manifest import Manifest
from model_core.results.course import DRAWN
from model_core.results.explanation import Explanation
from model_core.results.findings import Findings
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.tables import HISTORY, LOSSES, PREDICTIONS, read_table
from model_core.results.training import TrainResults


@dataclass(frozen=True)
class Evidence:
    """Everything the page shows; each part was checked against its manifest."""

    dataset: MarketDataset
    manifests: dict[str, Manifest]
    """By step: prepare_data, train, evaluate, diagnose."""
    training: TrainResults
    history: pd.DataFrame
    """One row per epoch."""
    explanation: Explanation | None
    """What the model looked at; None if the training step did not say."""
    scores: Scores
    predictions: pd.DataFrame
    """One row per window and step, log prices."""
    findings: Findings
    losses: pd.DataFrame | None = None
    """One row per window; None if earlier code evaluated."""


def read_evidence(*, dataset: Path, model: Path, evaluation: Path, findings: Path) -> Evidence:
    """Verify and read the four folders.

    Raises:
        ArtifactError: a folder is missing, damaged, from another step, or made from another model.
    """
    manifests = {
        "prepare_data": open_manifest(dataset),
        "train": open_artifact(model, producer="train"),
        "evaluate": open_artifact(evaluation, producer="evaluate"),
        "diagnose": open_artifact(findings, producer="diagnose"),
    }
    for step in ("evaluate", "diagnose"):
        refuse_other_model(manifests[step], model)
    for step in ("train", "evaluate", "diagnose"):
        say_if_other_dataset(manifests[step], dataset)
    holder = next((f for f in (evaluation, findings, model) if (f / Explanation.file).exists()), None)
    has_losses = LOSSES.file in manifests["evaluate"].files
    return Evidence(
        dataset=MarketDataset.open(dataset),
        manifests=manifests,
        training=read_result(TrainResults, model),
        history=read_table(HISTORY, model, DRAWN),
        explanation=read_result(Explanation, holder) if holder else None,
        scores=read_result(Scores, evaluation),
        predictions=read_table(PREDICTIONS, evaluation, PREDICTIONS.always),
        findings=read_result(Findings, findings),
        losses=read_table(LOSSES, evaluation, LOSSES.always) if has_losses else None,
    )
