"""What a report stands on: the verified artifacts of one run, read once. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from model_core.artifacts import Manifest, open_artifact, read_json
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.errors import ArtifactError
from model_core.lineage import refuse_other_model, say_if_other_dataset
from model_core.parquet import read_frame

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
    say_if_other_dataset(manifests["train"], dataset)
    holder = next((f for f in (evaluation, findings, model) if (f / "explanation.json").exists()), None)
    return Evidence(
        dataset=MarketDataset.open(dataset),
        manifests=manifests,
        training=read_json(model / "results.json"),
        history=read_frame(model / "history.parquet"),
        explanation=read_json(holder / "explanation.json") if holder else None,
        scores=_read_scores(evaluation / "scores.json"),
        predictions=read_frame(evaluation / "predictions.parquet"),
        findings=_read_findings(findings / "findings.json"),
    )


def _read_scores(path: Path) -> Json:
    """``scores.json`` of version 2; version 1, in which every comparison had a verdict, gets its fields."""
    scores: Json = _of_version_at_most_2(path, "evaluate")
    if scores["schema_version"] == 1:
        scores |= {"confidence_set_reason": None}
        scores["verdict"] |= {"reason": None}
        for row in scores["skill"]:
            row["reason"] = None
    return scores


def _read_findings(path: Path) -> Json:
    """``findings.json`` of version 2; version 1, in which every disturbance was judged, gets its fields."""
    findings: Json = _of_version_at_most_2(path, "diagnose")
    if findings["schema_version"] == 1:
        for row in findings["scenarios"]:
            row |= {"excess_low": None, "excess_high": None, "fragile_reason": None}
    return findings


def _of_version_at_most_2(path: Path, step: str) -> Json:
    content: Json = read_json(path)
    if content.get("schema_version") not in (1, 2):
        raise ArtifactError(
            f"{path} has the schema version {content.get('schema_version')}, and this code reads 1 and 2; "
            f"run the {step} step again"
        )
    return content
