"""Forecasts of every window of a split, as log-price displacements."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model_core.data.windows import Window, WindowSet
from model_core.nn.bundles import Mixture

Perturb = Callable[[Window], Window]


@dataclass(frozen=True)
class Predictions:
    """Forecasts of n windows in chronological order, float64."""

    forecast: NDArray[np.float64]
    """[n, P, T] log price − anchor."""
    true: NDArray[np.float64]
    """[n, P, T]"""
    anchor: NDArray[np.float64]
    """[n] log Close of the last known row."""
    scale: NDArray[np.float64]
    """[n] unit of the scaled displacements."""
    dates: NDArray[np.datetime64]
    """[n, 1 + P] anchor date, then target dates."""
    mixture: Mixture | None
    """On the CPU, in scaled displacements; for models with a mixture head."""

    def __len__(self) -> int:
        return len(self.anchor)


def unchanged(window: Window) -> Window:
    """The perturbation that does nothing."""
    return window


@torch.no_grad()
def evaluate_model(
    model: nn.Module,
    windows: WindowSet,
    batch_size: int,
    perturb: Perturb = unchanged,
    limit: int | None = None,
) -> Predictions:
    """Forecast every window of ``windows`` once, or the first ``limit`` batches of them.

    Args:
        perturb: applied to each batch before the model sees it; anchors, scales and targets in the
            result stay those of the clean window.
    """
    model.eval()
    points, mixtures, seen = [], [], []
    for number, clean in enumerate(windows.batches(batch_size)):
        if limit is not None and number >= limit:
            break
        forecast = model(perturb(clean))
        points.append(forecast.point.double().cpu())
        mixtures.append(forecast.mixture)
        seen.append(clean)
    scale = torch.cat([w.scale for w in seen]).double().cpu()
    unit = scale[:, None, None]
    predictions = Predictions(
        forecast=(torch.cat(points) * unit).numpy(),
        true=(torch.cat([w.target for w in seen]).double().cpu() * unit).numpy(),
        anchor=torch.cat([w.anchor for w in seen]).cpu().numpy(),
        scale=scale.numpy(),
        dates=torch.cat([w.dates for w in seen]).cpu().numpy().astype("datetime64[D]"),
        mixture=_joined([m for m in mixtures if m is not None]),
    )
    if limit is None and len(predictions) != len(windows):
        raise RuntimeError(f"{len(predictions)} of {len(windows)} windows were scored")
    return predictions


def _joined(mixtures: list[Mixture]) -> Mixture | None:
    if not mixtures:
        return None
    return Mixture(
        logits=torch.cat([m.logits for m in mixtures]).cpu(),
        mean=torch.cat([m.mean for m in mixtures]).cpu(),
        log_scale=torch.cat([m.log_scale for m in mixtures]).cpu(),
    )
