"""What a model looked at: its learned graph and what the targets read from the bodies, over test windows."""

from typing import Any

import torch
from torch import Tensor

from model_core.build import Model
from model_core.data.windows import WindowSet
from model_core.evaluation.predict import spread_over
from model_core.progress import ProgressMeter

WINDOWS_AT_MOST = 128
"""Means over so many windows, evenly spread; every window of a split would double the time of evaluating."""


def explain_model(model: Model, windows: WindowSet, batch_size: int) -> dict[str, Any]:
    """Mean explanation of at most ``WINDOWS_AT_MOST`` windows, as ``explanation.json`` holds it.

    Returns:
        ``bodies`` (N names), ``adjacency`` [N][N] (row hears column, rows sum to 1), ``target_to_body``
        [T][N], ``source_weights`` (by name of the source graph, sum 1), ``windows`` (how many).
    """
    model.eval()
    chosen = spread_over(len(windows), WINDOWS_AT_MOST)
    parts = []
    with ProgressMeter("reading the learned graph", len(chosen), "windows") as meter:
        for part in chosen.split(batch_size):
            parts.append(model.explain(windows.batch(part)))
            meter.update(len(part))
    weights = _mean([part.source_weights for part in parts])
    return {
        "bodies": list(parts[0].node_names),
        "adjacency": _mean([part.adjacency for part in parts]),
        "target_to_body": _mean([part.target_to_body for part in parts]),
        "source_weights": dict(zip(parts[0].source_names, weights, strict=True)),
        "windows": len(chosen),
    }


def _mean(parts: list[Tensor]) -> Any:
    return torch.cat(parts).double().mean(0).cpu().tolist()
