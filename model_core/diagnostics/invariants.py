"""Properties that must hold for any weights. Breaking one is a bug, not a weakness, and fails the step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from model_core.data.dataset import MarketDataset
from model_core.data.windows import FIRST_SKY, Window, WindowSet

_WINDOWS = 8
_TOLERANCE = 1e-4
"""In window ranges: single-precision sums in another order differ by less."""


@dataclass(frozen=True)
class Invariant:
    """A property and whether it held."""

    name: str
    passed: bool
    detail: str


@torch.no_grad()
def check_invariants(
    model: nn.Module, dataset: MarketDataset, device: torch.device, *, sees_future_sky: bool
) -> tuple[Invariant, ...]:
    """Check a model on a few test windows spread over the split.

    Args:
        sees_future_sky: whether the model is meant to read the known-future sky.
    """
    model.eval()
    windows = WindowSet(dataset, "test", device)
    chosen = torch.linspace(0, len(windows) - 1, min(_WINDOWS, len(windows))).long()
    window = windows.batch(chosen)
    clean: Tensor = model(window).point
    checks: list[Callable[[], Invariant]] = [
        lambda: _finite(clean),
        lambda: _future_prices(dataset, chosen, device, window),
        lambda: _future_sky(model, window, clean, sees_future_sky),
        lambda: _price_scaling(model, dataset, chosen, device, clean),
        lambda: _batch_mates(model, windows, chosen, clean),
    ]
    return tuple(check() for check in checks)


def _finite(clean: Tensor) -> Invariant:
    count = int((~clean.isfinite()).sum())
    return Invariant(
        "forecasts_finite", count == 0, f"{count} of {clean.numel()} forecast values are not finite"
    )


def _future_prices(dataset: MarketDataset, chosen: Tensor, device: torch.device, window: Window) -> Invariant:
    """Corrupt every price after the first chosen anchor and rebuild that window's input."""
    first = WindowSet(dataset, "test", device)
    anchor = int(first.anchor_rows[chosen[0]])
    waves = dataset.waves.copy()
    waves[anchor + 1 :, : FIRST_SKY - 1] *= 1.5
    corrupted = WindowSet(replace(dataset, waves=waves), "test", device).batch(chosen[:1])
    same = all(
        torch.equal(getattr(corrupted, name), getattr(window, name)[:1])
        for name in ("past_waves", "past_calendar", "future_sky", "future_calendar", "scale", "anchor")
    )
    return Invariant(
        "no_future_prices",
        same,
        "inputs are bit for bit the same after all later prices were corrupted"
        if same
        else "the input changed when later prices were corrupted",
    )


def _future_sky(model: nn.Module, window: Window, clean: Tensor, expected: bool) -> Invariant:
    moved = float((model(replace(window, future_sky=-window.future_sky)).point - clean).abs().max())
    reads = moved > 0
    return Invariant(
        "known_future_sky",
        reads == expected,
        f"the forecast moves by up to {moved:.2g} ranges with another future sky; it is meant to "
        + ("read it" if expected else "ignore it"),
    )


def _price_scaling(
    model: nn.Module, dataset: MarketDataset, chosen: Tensor, device: torch.device, clean: Tensor
) -> Invariant:
    waves = dataset.waves.copy()
    waves[:, : FIRST_SKY - 1] += np.log(1.25)
    scaled = WindowSet(replace(dataset, waves=waves), "test", device).batch(chosen)
    difference = float((model(scaled).point - clean).abs().max())
    return Invariant(
        "price_scaling",
        difference < _TOLERANCE,
        f"with all prices × 1.25 the displacement forecast differs by at most {difference:.1g} ranges",
    )


def _batch_mates(model: nn.Module, windows: WindowSet, chosen: Tensor, clean: Tensor) -> Invariant:
    alone = torch.cat([model(windows.batch(index[None])).point for index in chosen])
    difference = float((alone - clean).abs().max())
    return Invariant(
        "batch_independence",
        difference < _TOLERANCE,
        f"a window alone and in a batch differ by at most {difference:.1g} ranges",
    )
