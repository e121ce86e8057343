"""Properties that must hold for any weights. Breaking one is a bug, not a weakness, and fails the step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from model_core.axes import FIRST_SKY
from model_core.data.dataset import MarketDataset
from model_core.data.windows import Window, WindowSet
from model_core.nn.bundles import Reads
from model_core.results.findings import Invariant

_WINDOWS = 8
_TOLERANCE = 1e-4
"""In window ranges: single-precision sums in another order differ by less."""


@torch.no_grad()
def check_invariants(
    model: nn.Module, dataset: MarketDataset, device: torch.device, *, reads: Reads
) -> tuple[Invariant, ...]:
    """Check a model on a few test windows spread over the split.

    Args:
        reads: what is said to reach its forecasts; that has to, and nothing else.
    """
    model.eval()
    windows = WindowSet(dataset, "test", device)
    chosen = torch.linspace(0, len(windows) - 1, min(_WINDOWS, len(windows))).long()
    window = windows.batch(chosen)
    clean: Tensor = model(window).point
    checks: list[Callable[[], Invariant]] = [
        lambda: _finite(clean),
        lambda: _future_prices(dataset, chosen, device, window),
        lambda: _sky(model, window, clean, "past", reads.past_sky),
        lambda: _sky(model, window, clean, "future", reads.future_sky),
        lambda: _price_scaling(model, dataset, chosen, device, clean),
        lambda: _batch_mates(model, windows, chosen, clean),
    ]
    return tuple(check() for check in checks)


def _finite(clean: Tensor) -> Invariant:
    count = int((~clean.isfinite()).sum())
    return Invariant(
        name="forecasts_finite",
        passed=count == 0,
        detail=f"{count} of {clean.numel()} forecast values are not finite",
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
        name="no_future_prices",
        passed=same,
        detail="inputs are bit for bit the same after all later prices were corrupted"
        if same
        else "the input changed when later prices were corrupted",
    )


def _sky(
    model: nn.Module, window: Window, clean: Tensor, which: Literal["past", "future"], expected: bool
) -> Invariant:
    """The known-future sky reaches the forecast exactly if the model says that it reads it; the past one too."""
    if which == "past":
        prices, sky = window.past_waves.tensor_split([FIRST_SKY], dim=-1)
        other = replace(window, past_waves=torch.cat([prices, -sky], dim=-1))
    else:
        other = replace(window, future_sky=-window.future_sky)
    moved = float((model(other).point - clean).abs().max())
    return Invariant(
        name=f"known_{which}_sky",
        passed=(moved > 0) == expected,
        detail=f"the forecast moves by up to {moved:.2g} ranges with another {which} sky; it is meant to "
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
        name="price_scaling",
        passed=difference < _TOLERANCE,
        detail=f"with all prices × 1.25 the displacement forecast differs by at most {difference:.1g} ranges",
    )


def _batch_mates(model: nn.Module, windows: WindowSet, chosen: Tensor, clean: Tensor) -> Invariant:
    alone = torch.cat([model(windows.batch(index[None])).point for index in chosen])
    difference = float((alone - clean).abs().max())
    return Invariant(
        name="batch_independence",
        passed=difference < _TOLERANCE,
        detail=f"a window alone and in a batch differ by at most {difference:.1g} ranges",
    )
