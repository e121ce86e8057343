"""What a model looked at: its learned graph and what the targets read from the bodies, over test windows."""

import torch

from model_core.data.windows import WindowSet
from model_core.evaluation.predict import spread_over
from model_core.nn.forecaster import Forecaster
from model_core.progress import ProgressMeter
from model_core.results.explanation import Explanation
from model_core.results.importance import SkyImportance

WINDOWS_AT_MOST = 128
"""Windows that means are taken over, evenly spread; every window of a split would double the time of evaluating."""


def explain_model(
    model: Forecaster, windows: WindowSet, batch_size: int, importance: SkyImportance | None = None
) -> Explanation:
    """Mean explanation of at most ``WINDOWS_AT_MOST`` windows; ``importance`` of the sky is kept with it."""
    model.eval()
    chosen = spread_over(len(windows), WINDOWS_AT_MOST)
    parts = []
    with ProgressMeter("reading the learned graph", len(chosen), "windows") as meter:
        for part in chosen.split(batch_size):
            parts.append(model.explain(windows.batch(part)))
            meter.update(len(part))
    adjacency, to_body, weights = (
        torch.cat(matrices).double().mean(0).cpu().tolist()
        for matrices in zip(*((p.adjacency, p.target_to_body, p.source_weights) for p in parts), strict=True)
    )
    members = [part.adjacency_of_members for part in parts if part.adjacency_of_members is not None]
    spread = None
    if members and len(members[0]) > 1:
        spread = torch.cat(members, dim=1).double().mean(1).std(0).cpu().tolist()
    return Explanation(
        bodies=tuple(parts[0].node_names),
        adjacency=tuple(map(tuple, adjacency)),
        target_to_body=tuple(map(tuple, to_body)),
        source_weights=dict(zip(parts[0].source_names, weights, strict=True)),
        adjacency_spread=None if spread is None else tuple(map(tuple, spread)),
        windows=len(chosen),
        importance=importance,
    )
