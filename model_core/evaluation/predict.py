"""Forecasts of every window of a split, as log-price displacements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_core.data.windows import Window, WindowSet
from model_core.nn.bundles import Forecast, Mixture
from model_core.progress import ProgressMeter

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
    unshrunk: "Predictions | None" = None
    """What the model itself says, where forecasts keep only a share of that."""

    def __len__(self) -> int:
        return len(self.anchor)


def unchanged(window: Window) -> Window:
    """The perturbation that does nothing."""
    return window


def spread_over(count: int, at_most: int | None) -> Tensor:
    """Indices 0 … count − 1, or ``at_most`` of them evenly spread from the first to the last."""
    if at_most is None or at_most >= count:
        return torch.arange(count)
    return torch.linspace(0, count - 1, at_most).round().long()


def evaluate_model(
    model: nn.Module,
    windows: WindowSet,
    batch_size: int,
    at_most: int | None = None,
    what: str = "forecasting windows",
) -> Predictions:
    """Forecast every window once, or ``at_most`` of them spread over the split.

    Args:
        what: the work, as its progress is called.
    """
    count = len(spread_over(len(windows), at_most))
    with ProgressMeter(what, count, "windows") as meter:
        (predictions,) = evaluate_each(model, windows, batch_size, (unchanged,), at_most, meter.update)
    return predictions


@torch.no_grad()
def evaluate_each(
    model: nn.Module,
    windows: WindowSet,
    batch_size: int,
    perturbs: Sequence[Perturb],
    at_most: int | None = None,
    advance: Callable[[int], None] = lambda forecasts: None,
) -> list[Predictions]:
    """The predictions under each perturbation, all on the same windows.

    Args:
        perturbs: applied in turn to each batch before the model sees it; anchors, scales and targets in the
            result stay those of the clean window.
        at_most: number of windows, spread over the split; None scores every one.
        advance: told how many forecasts were made since it was last called.
    """
    model.eval()
    chosen = spread_over(len(windows), at_most)
    forecasts, known = [], []
    for part in chosen.split(batch_size):
        clean = windows.batch(part)
        made = []
        for perturb in perturbs:
            made.append(model(perturb(clean)))
            advance(len(part))
        forecasts.append(made)
        # Not the window itself: its history is a thousand times larger.
        known.append((clean.scale, windows.displacements(part), clean.anchor, clean.dates))
    scale, true, anchor, days = (torch.cat(parts).cpu() for parts in zip(*known, strict=True))
    unit = scale.double()[:, None, None]

    def of_all(parts: Sequence[Forecast]) -> Predictions:
        whole = [f.unshrunk for f in parts if f.unshrunk is not None]
        return Predictions(
            forecast=(torch.cat([f.point.double().cpu() for f in parts]) * unit).numpy(),
            true=true.numpy(),
            anchor=anchor.numpy(),
            scale=scale.double().numpy(),
            dates=days.numpy().astype("datetime64[D]"),
            mixture=_joined([f.mixture for f in parts if f.mixture is not None]),
            unshrunk=of_all(whole) if whole else None,
        )

    return [of_all(parts) for parts in zip(*forecasts, strict=True)]


def _joined(mixtures: list[Mixture]) -> Mixture | None:
    if not mixtures:
        return None
    return Mixture(
        logits=torch.cat([m.logits for m in mixtures]).cpu(),
        mean=torch.cat([m.mean for m in mixtures]).cpu(),
        log_scale=torch.cat([m.log_scale for m in mixtures]).cpu(),
    )
