"""How much of what a model learned is kept, by how it forecasts the validation windows.

The windows are cut into blocks of time. In each, forecasts that keep a share s of the model's distance from its base
are scored for every s, in units of the base's own loss there, so that a wild block counts like a calm one. Of the
shares that are not worse than the best one by more than a standard error of that difference over the blocks, the
smallest is kept (Breiman et al., 1984, prune trees by the same rule): nothing, where the blocks don't speak for the
model. The means come first, Close and then the candle about it, by squared error; then the widths, by CRPS.

The checkpoint was chosen on the same windows, which flatters the model; that the smallest such share is taken, and
never the best one, makes up for it.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_core.axes import CLOSE
from model_core.config.model import MixtureSettings
from model_core.losses import forecast_loss, mixture_crps
from model_core.nn.bundles import Forecast, Mixture
from model_core.nn.ensemble import combined
from model_core.nn.shrinkage import shrunk, shrunk_candle
from model_core.results.shrinkage import WHOLE, FittedShare, Shrinkage

log = logging.getLogger("pgat.train")
BLOCKS = 8
SHARES = np.linspace(0, 1, 11)
"""Those that are tried."""
MOST_WINDOWS = 1_000
"""Of a longer span every n-th window is looked at; neighbors share most of their days."""
_CANDLE, _PATH = slice(0, CLOSE), slice(CLOSE, CLOSE + 1)


@dataclass(frozen=True)
class Validated:
    """Forecasts of the validation windows in order of time, in scaled displacements, on the CPU."""

    forecast: Forecast
    base: Forecast
    target: Tensor
    """[n, P, T]"""

    @classmethod
    def joined(cls, parts: Sequence[tuple[Forecast, Forecast, Tensor]]) -> "Validated":
        """From batches of forecast, base and target."""
        forecasts, bases, targets = zip(*parts, strict=True)
        return cls(_joined(forecasts), _joined(bases), torch.cat([t.cpu().double() for t in targets]))


def fit_shrinkage(members: Sequence[Validated]) -> Shrinkage:
    """The shares of a model, or of all members of an ensemble, by the forecasts of the validation windows.

    Args:
        members: the forecasts of each, of the same windows.
    """
    members = [_thinned(member) for member in members]
    target, mixture = members[0].target, members[0].forecast.mixture
    count, horizon = len(target), target.shape[1]
    nothing = FittedShare(share=0.0, base_loss=None, kept_loss=None, model_loss=None)
    if count < BLOCKS * horizon:
        return _nothing_kept(
            f"the {count} validation windows do not make {BLOCKS} blocks of {horizon} days; lengthen that span with "
            "data.split, or set training.shrinkage: false to keep all of the model",
            nothing,
            mixture is not None,
        )
    base = members[0].base.point
    model = torch.stack([member.forecast.point for member in members]).mean(0)

    def by_error(columns: slice, candle: Callable[[float], Tensor]) -> FittedShare:
        return _fitted(lambda share: (candle(share) - target)[..., columns].square().mean((1, 2)), nothing)

    close = by_error(_PATH, lambda s: shrunk_candle(model, base, s, s))
    candle = by_error(_CANDLE, lambda c: shrunk_candle(model, base, close.share, c))
    if mixture is None:
        return Shrinkage(
            blocks=BLOCKS, reason=None, close=close, candle=candle, close_width=None, candle_width=None
        )
    shares = WHOLE.model_copy(update={"close": close.share, "candle": candle.share})

    def by_crps(columns: slice, kept: Callable[[float], dict[str, float]]) -> FittedShare:
        def loss(share: float) -> Tensor:
            tried = shares.model_copy(update=kept(share))
            moved = combined([shrunk(m.forecast, m.base, tried) for m in members]).mixture
            assert moved is not None
            part = Mixture(moved.logits, moved.mean[..., columns], moved.log_scale[..., columns])
            return mixture_crps(part, target[..., columns]).mean((1, 2))

        return _fitted(loss, nothing)

    close_width = by_crps(_PATH, lambda u: {"close_width": u, "candle_width": u})
    kept = {"close_width": close_width.share}
    candle_width = by_crps(_CANDLE, lambda v: kept | {"candle_width": v})
    return Shrinkage(
        blocks=BLOCKS,
        reason=None,
        close=close,
        candle=candle,
        close_width=close_width,
        candle_width=candle_width,
    )


def mean_loss(members: Sequence[Validated], settings: MixtureSettings) -> float:
    """Of all members together on their validation windows, without penalties."""
    forecast = combined([member.forecast for member in members])
    return float(forecast_loss(forecast, members[0].target, settings).total)


def smallest_share(losses: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """The smallest share that is not worse than the best one by more than a standard error of their difference.

    Args:
        losses: [blocks, shares] mean loss of each block with each share; at least two blocks.
    """
    excess = losses - losses[:, [np.argmin(losses.mean(axis=0))]]
    error = excess.std(axis=0, ddof=1) / np.sqrt(len(excess))
    return float(shares[np.argmax(excess.mean(axis=0) <= error)])


def in_words(shrinkage: Shrinkage) -> str:
    """What is kept, in a line of the log."""
    if shrinkage.reason is not None:
        return f"nothing of the model is kept: {shrinkage.reason}"
    kept = f"{shrinkage.close.share:.0%} of what was learned of Close and {shrinkage.candle.share:.0%} of the candle"
    if shrinkage.close_width is None or shrinkage.candle_width is None:
        return f"kept: {kept}"
    return f"kept: {kept}; of their widths {shrinkage.close_width.share:.0%} and {shrinkage.candle_width.share:.0%}"


def _fitted(loss: Callable[[float], Tensor], nothing: FittedShare) -> FittedShare:
    """The share by the losses per window [n] that each of ``SHARES`` has."""
    losses = np.stack([loss(float(share)).numpy() for share in SHARES])  # [shares, n]
    blocks: NDArray[np.float64] = np.stack([part.mean(1) for part in np.array_split(losses, BLOCKS, axis=1)])
    units = blocks[:, :1]
    if not np.isfinite(blocks).all() or units.min() <= 0:
        return nothing
    relative = blocks / units
    share = smallest_share(relative, SHARES)
    means = relative.mean(0)
    return FittedShare(
        share=share,
        base_loss=float(means[0]),
        kept_loss=float(means[np.argmin(np.abs(SHARES - share))]),
        model_loss=float(means[-1]),
    )


def _nothing_kept(reason: str, nothing: FittedShare, has_widths: bool) -> Shrinkage:
    widths = nothing if has_widths else None
    return Shrinkage(
        blocks=0, reason=reason, close=nothing, candle=nothing, close_width=widths, candle_width=widths
    )


def _thinned(validated: Validated) -> Validated:
    step = math.ceil(len(validated.target) / MOST_WINDOWS)

    def every(forecast: Forecast) -> Forecast:
        mixture = forecast.mixture
        return Forecast(
            point=forecast.point[::step],
            mixture=mixture
            and Mixture(mixture.logits[::step], mixture.mean[::step], mixture.log_scale[::step]),
        )

    return Validated(every(validated.forecast), every(validated.base), validated.target[::step])


def _joined(parts: Sequence[Forecast]) -> Forecast:
    """Forecasts of batches as one, in double precision."""
    mixtures = [part.mixture for part in parts if part.mixture is not None]

    def whole(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.cpu().double() for tensor in tensors])

    mixture = (
        Mixture(
            whole([m.logits for m in mixtures]),
            whole([m.mean for m in mixtures]),
            whole([m.log_scale for m in mixtures]),
        )
        if mixtures
        else None
    )
    return Forecast(point=whole([part.point for part in parts]), mixture=mixture)
