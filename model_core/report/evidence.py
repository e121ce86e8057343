"""What a report stands on: the verified artifacts of one run, read once. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from model_core.artifacts import Manifest, open_artifact, read_json
from model_core.data.dataset import MarketDataset, open_manifest

Json = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Everything the page shows; each part was checked against its manifest."""

    dataset: MarketDataset
    manifests: dict[str, Manifest]
    """By step: prepare_data, train, evaluate, diagnose."""
    training: Json
    """``results.json``"""
    history: pd.DataFrame
    """One row per epoch."""
    explanation: Json | None
    """What the model looked at; None if the training step did not say."""
    scores: Json
    predictions: pd.DataFrame
    """One row per window and step, log prices."""
    findings: Json


def read_evidence(*, dataset: Path, model: Path, evaluation: Path, findings: Path) -> Evidence:
    """Verify and read the four folders.

    Raises:
        ArtifactError: a folder is missing, damaged, or from another step.
    """
    manifests = {
        "prepare_data": open_manifest(dataset),
        "train": open_artifact(model, producer="train"),
        "evaluate": open_artifact(evaluation, producer="evaluate"),
        "diagnose": open_artifact(findings, producer="diagnose"),
    }
    holder = next((f for f in (evaluation, findings, model) if (f / "explanation.json").exists()), None)
    return Evidence(
        dataset=MarketDataset.open(dataset),
        manifests=manifests,
        training=read_json(model / "results.json"),
        history=pq.read_table(model / "history.parquet").to_pandas(),
        explanation=read_json(holder / "explanation.json") if holder else None,
        scores=read_json(evaluation / "scores.json"),
        predictions=pq.read_table(evaluation / "predictions.parquet").to_pandas(),
        findings=read_json(findings / "findings.json"),
    )
