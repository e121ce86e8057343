"""What the waves of the sky are worth: permutation importance, with the true waves against those of other windows.

Some waves of each window are replaced by those of another one, and the losses are compared window by window, as for
two forecasts. Waves move in blocks of two horizons, so that the losses are correlated in time as with the true waves;
no window keeps its own. Prices, calendar and truth stay.

A skill above 0 says that these waves help this model in these windows. It says nothing of what another model would
gain by them, nor of chance in training: that takes several models, with the sky and without it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_core.axes import CLOSE, FIRST_SKY
from model_core.config.data import Layout
from model_core.data.windows import Window, WindowSet
from model_core.evaluation.predict import spread_over
from model_core.evaluation.significance import compare
from model_core.metrics.probabilistic import GaussianMixture
from model_core.nn.bundles import Forecast, Reads
from model_core.progress import ProgressMeter
from model_core.results.importance import SkyImportance, WaveGroup, WaveImportance
from model_core.sky.waves import Quantity, waves_of

Losses = NDArray[np.float64]

_BLOCK_HORIZONS = 2
"""Length of a block, in horizons of the forecast."""
_SEED = 2024
"""Of the order in which blocks change places."""
_MEASURES: Mapping[str, tuple[Quantity, ...]] = {
    "longitude": ("longitude_sin", "longitude_cos"),
    "zodiac sign": ("sign_sin", "sign_cos"),
    "speed": ("speed",),
    "distance": ("distance",),
    "latitude": ("latitude",),
    "synodic phase": ("synodic_sin", "synodic_cos"),
    "shadbala": ("shadbala",),
}
"""Name of a part → its quantities. They change in time; a natal longitude is the same in every window."""


class SkyReader(Protocol):
    """A model that says which part of the sky it reads."""

    @property
    def reads(self) -> Reads:
        """What of a window reaches the point forecast."""
        ...

    def __call__(self, window: Window) -> Forecast:
        """The forecast of a batch."""
        ...

    def eval(self) -> object:
        """Leave training mode."""
        ...


@dataclass(frozen=True)
class Part:
    """Some waves on some days."""

    group: WaveGroup
    name: str
    columns: tuple[int, ...]
    """Indices among the waves of the sky."""
    known: bool = True
    """Whether the waves of the known days are exchanged."""
    ahead: bool = True
    """Whether those of the days ahead are."""

    def exchanged(self, window: Window, other: Window) -> Window:
        """``window`` with this part of the sky from ``other``."""
        found = window
        if self.known:
            waves, columns = window.past_waves.clone(), [FIRST_SKY + c for c in self.columns]
            waves[..., columns] = other.past_waves[..., columns]
            found = replace(found, past_waves=waves)
        if self.ahead:
            ahead, columns = window.future_sky.clone(), list(self.columns)
            ahead[..., columns] = other.future_sky[..., columns]
            found = replace(found, future_sky=ahead)
        return found


def parts_of(layout: Layout) -> Iterator[Part]:
    """The whole sky, then its parts by days, by body and by quantity."""
    sky = waves_of(layout)[FIRST_SKY:]
    every = tuple(range(len(sky)))
    yield Part("days", "all", every)
    yield Part("days", "known", every, ahead=False)
    yield Part("days", "ahead", every, known=False)
    for body in dict.fromkeys(wave.body for wave in sky if wave.body is not None):
        yield Part("body", body, tuple(c for c in every if sky[c].body == body))
    for name, quantities in _MEASURES.items():
        columns = tuple(c for c in every if sky[c].quantity in quantities)
        if columns:
            yield Part("quantity", name, columns)


@torch.no_grad()
def sky_importance(
    model: SkyReader,
    windows: WindowSet,
    layout: Layout,
    *,
    at_most: int,
    draws: int,
    confidence: float,
    batch_size: int,
) -> SkyImportance | None:
    """What each part of the sky is worth; None if the model reads no sky, or if fewer than two windows are used.

    Args:
        windows: the test windows.
        layout: says which wave is whose.
        at_most: how many windows are used, spread evenly over them; 0 for none.
        draws: how often each part is exchanged; the losses are means over them.
        confidence: of the intervals, between 0 and 1.
        batch_size: windows in one forward pass.
    """
    model.eval()
    reads = model.reads
    chosen = spread_over(len(windows), at_most)
    if len(chosen) < 2 or not (reads.past_sky or reads.future_sky):
        return None
    spacing = (len(windows) - 1) / (len(chosen) - 1)
    neighbors = int(np.ceil(windows.window.pred_len / spacing))
    block = _BLOCK_HORIZONS * neighbors
    parts = tuple(parts_of(layout))
    generator = torch.Generator().manual_seed(_SEED)
    partners = [chosen[exchange(len(chosen), block, generator)] for _ in range(draws)]
    clean: list[_Losses] = []
    exchanged: dict[Part, list[_Losses]] = {part: [] for part in parts}
    forecasts = 1 + draws * len(parts)
    with ProgressMeter("exchanging the sky", len(chosen) * forecasts, "forecasts") as meter:
        for first in range(0, len(chosen), batch_size):
            batch = slice(first, first + batch_size)
            window, true = windows.batch(chosen[batch]), windows.displacements(chosen[batch])
            others = [windows.batch(partner[batch]) for partner in partners]
            clean.append(_Losses.of(model(window), window, true))
            for part in parts:
                drawn = [_Losses.of(model(part.exchanged(window, other)), window, true) for other in others]
                exchanged[part].append(_Losses.mean(drawn))
            meter.update(len(window) * forecasts)
    ours = _Losses.joined(clean)
    return SkyImportance(
        windows=len(chosen),
        draws=draws,
        block=block,
        parts=tuple(
            _importance(part, ours, _Losses.joined(exchanged[part]), neighbors, confidence) for part in parts
        ),
    )


def exchange(count: int, block: int, generator: torch.Generator) -> Tensor:
    """[count] the index of another window for each: blocks of neighbors change places, in one cycle over all blocks.

    Where there would be fewer than two blocks, single windows do.
    """
    block = block if count >= 2 * block else 1
    starts = torch.arange(0, count, block)
    order = torch.randperm(len(starts), generator=generator)
    giver = torch.empty_like(order)
    giver[order] = order.roll(-1)
    here = torch.arange(count)
    # The last block may be shorter; beyond its end it goes on with the first windows.
    return (starts[giver[here // block]] + here % block) % count


@dataclass(frozen=True)
class _Losses:
    """The losses of each window, both [n]."""

    point: Losses
    """Squared log error, a mean over days and targets."""
    distribution: Losses | None
    """CRPS of Close in log price, a mean over days; None for a head that forecasts a point only."""

    @classmethod
    def of(cls, forecast: Forecast, window: Window, true: Tensor) -> "_Losses":
        unit = window.scale.double()[:, None, None]
        error = (forecast.point.double() * unit - true).square().mean((1, 2)).cpu().numpy()
        mixture = forecast.mixture
        if mixture is None:
            return cls(error, None)
        head = GaussianMixture.from_head(
            *(part.double().cpu().numpy() for part in (mixture.logits, mixture.mean, mixture.log_scale))
        )
        close = head.scaled(unit.cpu().numpy()).element(CLOSE)
        return cls(error, close.crps(true[..., CLOSE].cpu().numpy()).mean(axis=1))

    @classmethod
    def mean(cls, draws: list["_Losses"]) -> "_Losses":
        scored = [draw.distribution for draw in draws if draw.distribution is not None]
        return cls(
            np.mean([draw.point for draw in draws], axis=0), np.mean(scored, axis=0) if scored else None
        )

    @classmethod
    def joined(cls, batches: list["_Losses"]) -> "_Losses":
        scored = [batch.distribution for batch in batches if batch.distribution is not None]
        return cls(
            np.concatenate([batch.point for batch in batches]), np.concatenate(scored) if scored else None
        )


def _importance(
    part: Part, ours: _Losses, theirs: _Losses, neighbors: int, confidence: float
) -> WaveImportance:
    distribution = None
    if ours.distribution is not None and theirs.distribution is not None:
        distribution = compare(
            ours.distribution, theirs.distribution, horizon=neighbors, confidence=confidence
        )
    return WaveImportance(
        group=part.group,
        name=part.name,
        waves=len(part.columns),
        point=compare(ours.point, theirs.point, horizon=neighbors, confidence=confidence),
        distribution=distribution,
    )
