"""What a report stands on: the verified artifacts of one run, read once. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from model_core.artifacts import Manifest, open_artifact, read_json
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.errors import ArtifactError, quoted
from model_core.lineage import refuse_other_model, say_if_other_dataset
from model_core.parquet import read_frame
from model_core.report.score_shapes import Scores
from model_core.report.shapes import (
    DATES,
    HISTORY,
    PREDICTIONS,
    Explanation,
    Findings,
    Quality,
    Shape,
    Training,
    check_columns,
    check_shape,
)

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
    for step in ("train", "evaluate", "diagnose"):
        say_if_other_dataset(manifests[step], dataset)
    holder = next((f for f in (evaluation, findings, model) if (f / "explanation.json").exists()), None)
    market = MarketDataset.open(dataset)
    check_shape(Quality, market.quality, dataset / "quality.json", "prepare_data")
    return Evidence(
        dataset=market,
        manifests=manifests,
        training=_read(Training, model / "results.json", "train"),
        history=_table(model / "history.parquet", HISTORY, "train"),
        explanation=_read(Explanation, holder / "explanation.json", "evaluate") if holder else None,
        scores=_read_scores(evaluation / "scores.json"),
        predictions=_table(evaluation / "predictions.parquet", (*DATES, *PREDICTIONS), "evaluate"),
        findings=_read_findings(findings / "findings.json"),
    )


def _read(shape: type[Shape], path: Path, step: str) -> Json:
    return check_shape(shape, dict(read_json(path)), path, step)


def _table(path: Path, columns: Sequence[str], step: str) -> pd.DataFrame:
    return check_columns(read_frame(path), columns, path, step)


def _read_scores(path: Path) -> Json:
    """``scores.json`` of version 2; version 1, in which every comparison had a verdict, gets its fields."""
    scores: Json = _of_version_at_most_2(path, "evaluate")
    if scores["schema_version"] == 1:
        scores |= {"confidence_set_reason": None}
        for row in [scores.get("verdict"), *_rows(scores, "skill")]:
            if isinstance(row, dict):
                row["reason"] = None
    return check_shape(Scores, scores, path, "evaluate")


def _read_findings(path: Path) -> Json:
    """``findings.json`` of version 2; version 1, in which every disturbance was judged, gets its fields."""
    findings: Json = _of_version_at_most_2(path, "diagnose")
    if findings["schema_version"] == 1:
        for row in _rows(findings, "scenarios"):
            if isinstance(row, dict):
                row |= {"excess_low": None, "excess_high": None, "fragile_reason": None}
    return check_shape(Findings, findings, path, "diagnose")


def _rows(content: Json, name: str) -> list[Any]:
    rows = content.get(name)
    return rows if isinstance(rows, list) else []


def _of_version_at_most_2(path: Path, step: str) -> Json:
    content: Json = read_json(path)
    if content.get("schema_version") not in (1, 2):
        raise ArtifactError(
            f"{path} has the schema version {quoted(content.get('schema_version'))}, and this code reads 1 and 2; "
            f"run the {step} step again"
        )
    return content
