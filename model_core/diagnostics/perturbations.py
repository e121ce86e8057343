"""Perturbed encoder inputs: the five published perturbations and what really goes wrong with market data.

Every perturbation changes ``past_waves`` only; strengths are in the units of that tensor (prices in window
ranges, scaled waves in train deviations, angles as sines and cosines). Chance comes from one generator
per perturbation, seeded by its name, so that a perturbation does not depend on those before it.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model_core.axes import CLOSE
from model_core.config.run import DiagnosticsSettings
from model_core.data.windows import Window
from model_core.diagnostics.masks import MASK_TITLES, PRICES, mask_of
from model_core.evaluation.predict import Perturb

_MISSING_SHARE = 0.05
_TICK_SIGMAS = 10.0

Change = Callable[[Tensor, torch.Generator], Tensor]
"""What becomes of the known days, [B, S, W] → [B, S, W]."""


@dataclass(frozen=True)
class Perturbation:
    """A change of the known days, and what it is called."""

    name: str
    title: str
    group: str
    """``published``, ``noise``, ``data`` or ``attack``."""
    parameters: Mapping[str, float | str]
    perturb: Perturb
    """Changes a batch; for one pass, batches in order."""


def published_perturbations(settings: DiagnosticsSettings) -> tuple[Perturbation, ...]:
    """The five perturbations that the project has always published."""
    noise, factor, ratio = settings.noise_std, settings.scale_factor, settings.dropout_ratio
    group, seed = "published", settings.seed
    return (
        _seeded(seed, "gaussian_noise", "Gaussian noise", group, {"std": noise}, _noise(noise)),
        _seeded(seed, "zero_inputs", "all inputs zero", group, {}, lambda waves, _: torch.zeros_like(waves)),
        _seeded(seed, "scale_spike", "inputs scaled up", group, {"factor": 1 + factor}, _spike(factor)),
        _seeded(seed, "time_reverse", "history reversed", group, {}, lambda waves, _: waves.flip(1)),
        _seeded(seed, "feature_dropout", "waves dropped", group, {"ratio": ratio}, _feature_dropout(ratio)),
    )


def data_perturbations(settings: DiagnosticsSettings) -> tuple[Perturbation, ...]:
    """Noise by group of waves and strength, and faults that market data really have."""
    seed = settings.seed
    noises = tuple(
        _seeded(
            seed,
            f"noise_{mask}_{std:g}",
            f"noise {std:g} on {MASK_TITLES[mask]}",
            "noise",
            {"strength": std, "mask": mask},
            _noise(std, mask),
        )
        for mask in settings.attack_masks
        for std in settings.attack_strengths
    )
    missing, tick = {"share": _MISSING_SHARE}, {"sigmas": _TICK_SIGMAS}
    return (
        *noises,
        _seeded(seed, "missing_days", "5 % of the days repeat the day before", "data", missing, _missing),
        _seeded(seed, "stale_close", "last day's prices repeat the day before", "data", {}, _stale),
        _seeded(seed, "bad_tick", "one 10 σ tick", "data", tick, _tick),
        _seeded(seed, "shuffled_history", "days in random order", "data", {}, _shuffled),
    )


def _seeded(
    seed: int, name: str, title: str, group: str, parameters: Mapping[str, float | str], change: Change
) -> Perturbation:
    generator = torch.Generator().manual_seed(seed + zlib.crc32(name.encode()))

    def perturb(window: Window) -> Window:
        return replace(window, past_waves=change(window.past_waves, generator))

    return Perturbation(name, title, group, parameters, perturb)


def _noise(std: float, mask: str = "all") -> Change:
    def change(waves: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(waves.shape, generator=generator).to(waves.device)
        return waves + std * mask_of(mask, waves) * noise

    return change


def _spike(factor: float) -> Change:
    return lambda waves, _: waves * (1 + factor)


def _feature_dropout(ratio: float) -> Change:
    """Each wave of each window is zero for the whole history with probability ``ratio``."""

    def change(waves: Tensor, generator: torch.Generator) -> Tensor:
        kept = torch.rand(waves.shape[0], 1, waves.shape[2], generator=generator) >= ratio
        return waves * kept.to(waves.device)

    return change


def _missing(waves: Tensor, generator: torch.Generator) -> Tensor:
    """A missing day shows the values of the last day that is there."""
    batch, steps, _ = waves.shape
    missing = torch.rand(batch, steps, generator=generator) < _MISSING_SHARE
    missing[:, 0] = False
    source = torch.arange(steps).expand(batch, steps).masked_fill(missing, 0).cummax(1).values
    return torch.gather(waves, 1, source.to(waves.device)[..., None].expand_as(waves))


def _stale(waves: Tensor, _: torch.Generator) -> Tensor:
    stale = waves.clone()
    stale[:, -1, :PRICES] = waves[:, -2, :PRICES]
    return stale


def _tick(waves: Tensor, generator: torch.Generator) -> Tensor:
    """One price of one random day of each window is off by 10 σ of the window's daily moves of Close."""
    ticked = waves.clone()
    batch, steps, _ = waves.shape
    day = torch.randint(steps, (batch,), generator=generator)
    price = torch.randint(PRICES, (batch,), generator=generator)
    sign = torch.randint(2, (batch,), generator=generator).to(waves) * 2 - 1
    sigma = waves[..., CLOSE].diff(dim=1).std(dim=1)
    ticked[torch.arange(batch), day, price] += sign * _TICK_SIGMAS * sigma
    return ticked


def _shuffled(waves: Tensor, generator: torch.Generator) -> Tensor:
    """All days but the last, which holds the anchor, are shuffled."""
    order = torch.randperm(waves.shape[1] - 1, generator=generator)
    order = torch.cat([order, torch.tensor([waves.shape[1] - 1])])
    return waves[:, order.to(waves.device)]
