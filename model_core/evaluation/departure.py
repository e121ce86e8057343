"""Does the model do anything? How far its forecast departs from its base, whether the market does so, what moves it.

With d = forecast − base and r = truth − base at the horizon, over the test windows:

    share        √(mean d²) / √(mean r²)
    correlation  mean u v, with u and v the standardized d and r
    its interval every ρ for which the mean of u v − ρ (u² + v²) / 2 is not significantly different from 0
                 (``smoothing.ratio_set``, which counts with overlapping windows)

The response to an input is the root mean square change of d when that input comes from another window, and with it the
base where the base reads it: a model that reads nothing, or that is its base, does not respond.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_core.axes import CLOSE, FIRST_SKY, TARGETS
from model_core.data.windows import Window, WindowSet
from model_core.evaluation.predict import Predictions, spread_over
from model_core.evaluation.significance import too_few_windows
from model_core.evaluation.smoothing import ratio_set
from model_core.metrics.probabilistic import NO_WIDTH, GaussianMixture
from model_core.nn.bundles import Baseline, Forecast, Mixture
from model_core.progress import ProgressMeter
from model_core.results.departure import Departure, InputName, InputResponse, TargetDeparture

Values = NDArray[np.float64]

BASE = "structured_walk"
"""Name of the baseline that every head starts from."""
ROUNDING = 1e-4
"""Share of the real movement below which a difference is rounding: heads compute in single precision, which loses 1e-7
of a displacement in each of some hundred operations."""
EXCHANGED_AT_MOST = 100
"""Windows whose inputs are exchanged: a root mean square is known to 7 % from that many, in a fifth of the time that
all forecasts take."""
_SEED = 2024
"""Of the exchange. A shift by a fixed number of rows would keep the weekday, or the season, of every window."""
_INPUTS: tuple[InputName, ...] = ("prices", "sky", "calendar")


class BasedModel(Protocol):
    """A model that starts from a base, whatever else it is."""

    @property
    def baseline(self) -> nn.Module:
        """Known displacements and the window's scale → ``Baseline``."""
        ...

    def __call__(self, window: Window) -> Forecast:
        """The forecast of a batch."""
        ...

    def eval(self) -> object:
        """Leave training mode."""
        ...


def departure_of(
    model: BasedModel, windows: WindowSet, predictions: Predictions, *, confidence: float, batch_size: int
) -> Departure:
    """The whole finding.

    Args:
        windows: the test windows; predictions: the model's, of each of them in the same order.
        confidence: of the intervals of the correlations.
        batch_size: windows of a forward pass.
    """
    horizon = predictions.true.shape[1]
    walk, deviation = _bases(model, windows, batch_size)
    walk *= predictions.scale[:, None]
    targets = {
        name: target_departure(
            predictions.forecast[:, -1, k] - walk[:, k],
            predictions.true[:, -1, k] - walk[:, k],
            horizon=horizon,
            confidence=confidence,
        )
        for k, name in enumerate(TARGETS)
    }
    width = None if predictions.mixture is None else _log_width(predictions.mixture, deviation[:, CLOSE])
    return Departure(
        base=BASE,
        step=horizon,
        targets=targets,
        width=None if width is None else _above_rounding(_rms(width), 1.0),
        exchanged_windows=min(len(windows), EXCHANGED_AT_MOST),
        inputs=input_responses(model, windows, targets[TARGETS[CLOSE]].realized, batch_size),
    )


def target_departure(ours: Values, real: Values, *, horizon: int, confidence: float) -> TargetDeparture:
    """The departure of one target.

    Args:
        ours: [n] forecast − base in log price and time order; real: [n] truth − base.
        horizon: how many neighboring windows share days.
    """
    realized = _rms(real)
    # Prices that differ by less than this share of them are one price.
    realized = realized if realized > NO_WIDTH else 0.0
    size = _above_rounding(_rms(ours), realized)
    correlation, low, high, reason = None, None, None, None
    if realized == 0:
        reason = "the market never left the base"
    elif size == 0:
        reason = "the forecast is the base"
    elif ours.std() <= ROUNDING * realized:
        reason = "the forecast departs by the same amount in every window"
    elif real.std() <= ROUNDING * realized:
        reason = "the market departed by the same amount in every window"
    else:
        u, v = ((x - x.mean()) / x.std() for x in (ours, real))
        correlation = float(np.clip((u * v).mean(), -1, 1))
        reason = too_few_windows(len(u), horizon)
        ends = None if reason else ratio_set(u * v, (u**2 + v**2) / 2, horizon, confidence)
        if ends is not None:
            low, high = (float(np.clip(end, -1, 1)) for end in ends)
        elif reason is None:
            reason = "both vary too much in these windows for an interval"
    return TargetDeparture(
        size=size,
        realized=realized,
        share=size / realized if realized else None,
        correlation=correlation,
        low=low,
        high=high,
        reason=reason,
    )


@torch.no_grad()
def input_responses(
    model: BasedModel, windows: WindowSet, realized: float, batch_size: int
) -> dict[str, InputResponse]:
    """What moves the forecast of Close at the horizon beyond its base, by input.

    Args:
        realized: the real movement, in log price.
    """
    model.eval()
    chosen = spread_over(len(windows), EXCHANGED_AT_MOST)
    partners = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(_SEED))]
    clean: list[_Beyond] = []
    exchanged: dict[str, list[_Beyond]] = {name: [] for name in _INPUTS}
    with ProgressMeter("exchanging inputs", len(chosen) * (1 + len(_INPUTS)), "forecasts") as meter:
        for part, others in zip(chosen.split(batch_size), partners.split(batch_size), strict=True):
            window, other = windows.batch(part), windows.batch(others)
            unit = window.scale.double().cpu().numpy()
            clean.append(_beyond_base(model, window, unit))
            for name in _INPUTS:
                exchanged[name].append(_beyond_base(model, with_input_of(other, window, name), unit))
            meter.update(len(part) * (1 + len(_INPUTS)))
    before = _Beyond.joined(clean)
    return {name: _response(before, _Beyond.joined(exchanged[name]), realized) for name in _INPUTS}


def with_input_of(other: Window, window: Window, name: InputName) -> Window:
    """``window`` with one of its inputs from ``other``; truth, anchor and dates stay."""
    waves = window.past_waves.clone()
    match name:
        case "prices":
            waves[..., : len(TARGETS)] = other.past_waves[..., : len(TARGETS)]
            return replace(window, past_waves=waves, scale=other.scale)
        case "sky":
            waves[..., FIRST_SKY:] = other.past_waves[..., FIRST_SKY:]
            return replace(window, past_waves=waves, future_sky=other.future_sky)
        case "calendar":
            # The days between rows stand between prices and sky.
            waves[..., len(TARGETS) : FIRST_SKY] = other.past_waves[..., len(TARGETS) : FIRST_SKY]
            return replace(
                window,
                past_waves=waves,
                past_calendar=other.past_calendar,
                future_calendar=other.future_calendar,
            )


@dataclass(frozen=True)
class _Beyond:
    """What a forecast of Close at the horizon has beyond its base."""

    point: Values
    """[n] in log price."""
    width: Values | None
    """[n] ln(σ / σ of the base)."""

    @classmethod
    def joined(cls, parts: list["_Beyond"]) -> "_Beyond":
        widths = [part.width for part in parts if part.width is not None]
        return cls(np.concatenate([part.point for part in parts]), np.concatenate(widths) if widths else None)


def _beyond_base(model: BasedModel, window: Window, unit: Values) -> _Beyond:
    forecast, base = model(window), _base(model, window)
    point = _at_the_horizon(forecast.point)[:, CLOSE] - _at_the_horizon(base.walk)[:, CLOSE]
    mixture, deviation = forecast.mixture, _at_the_horizon(base.deviation)[:, CLOSE]
    return _Beyond(point * unit, None if mixture is None else _log_width(mixture, deviation))


def _response(before: _Beyond, after: _Beyond, realized: float) -> InputResponse:
    size = _above_rounding(_rms(after.point - before.point), realized)
    width = None
    if before.width is not None and after.width is not None:
        width = _above_rounding(_rms(after.width - before.width), 1.0)
    return InputResponse(size=size, share=size / realized if realized else None, width=width)


@torch.no_grad()
def _bases(model: BasedModel, windows: WindowSet, batch_size: int) -> tuple[Values, Values]:
    """[n, T] each, at the horizon, scaled: the walk that the model starts from, and its standard deviation."""
    bases = [_base(model, window) for window in windows.batches(batch_size)]
    walk, deviation = (
        [_at_the_horizon(getattr(base, name)) for base in bases] for name in ("walk", "deviation")
    )
    return np.concatenate(walk), np.concatenate(deviation)


def _base(model: BasedModel, window: Window) -> Baseline:
    base: Baseline = model.baseline(window.past_waves[..., : len(TARGETS)], window.scale)
    return base


def _at_the_horizon(values: Tensor) -> Values:
    """[B, T] of [B, P, T]."""
    return values[:, -1].double().cpu().numpy()


def _log_width(mixture: Mixture, deviation: Values) -> Values:
    """[n] ln(σ of Close at the horizon / ``deviation``), both scaled."""
    last = (part[:, -1:].double().cpu().numpy() for part in (mixture.logits, mixture.mean, mixture.log_scale))
    spread = GaussianMixture.from_head(*last).element(CLOSE).deviation()[:, 0]
    return np.asarray(np.log(spread / deviation))


def _above_rounding(size: float, unit: float) -> float:
    """``size``, or 0 where that is rounding in a movement of ``unit``."""
    return size if size > ROUNDING * unit else 0.0


def _rms(values: Values) -> float:
    return float(np.sqrt(np.square(values).mean()))
