"""Disturbed encoder inputs: the five published scenarios and what really goes wrong with market data.

Every scenario changes ``past_waves`` only; strengths are in the units of that tensor (prices in window
ranges, scaled waves in train deviations, angles as sines and cosines). Chance comes from one generator
per scenario, seeded by its name, so that a scenario does not depend on those before it.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True)
class Scenario:
    """One way to disturb the known days, [B, S, W] → [B, S, W]."""

    name: str
    title: str
    group: str
    """``published``, ``noise``, ``data`` or ``attack``."""
    parameters: dict[str, float | str] = field(default_factory=dict)
    change: Change = lambda waves, generator: waves


def published_scenarios(settings: DiagnosticsSettings) -> tuple[Scenario, ...]:
    """The five scenarios that the project has always published."""
    noise, factor, ratio = settings.noise_std, settings.scale_factor, settings.dropout_ratio
    return (
        Scenario("gaussian_noise", "Gaussian noise", "published", {"std": noise}, _noise(noise)),
        Scenario("zero_inputs", "all inputs zero", "published", {}, lambda waves, _: torch.zeros_like(waves)),
        Scenario("scale_spike", "inputs scaled up", "published", {"factor": 1 + factor}, _spike(factor)),
        Scenario("time_reverse", "history reversed", "published", {}, lambda waves, _: waves.flip(1)),
        Scenario("feature_dropout", "waves dropped", "published", {"ratio": ratio}, _feature_dropout(ratio)),
    )


def data_scenarios(settings: DiagnosticsSettings) -> tuple[Scenario, ...]:
    """Noise by group of waves and strength, and faults that market data really have."""
    noises = tuple(
        Scenario(
            f"noise_{mask}_{std:g}",
            f"noise {std:g} on {MASK_TITLES[mask]}",
            "noise",
            {"strength": std, "mask": mask},
            _noise(std, mask),
        )
        for mask in settings.attack_masks
        for std in settings.attack_strengths
    )
    return (
        *noises,
        Scenario(
            "missing_days",
            "5 % of the days repeat the day before",
            "data",
            {"share": _MISSING_SHARE},
            _missing,
        ),
        Scenario("stale_close", "last day's prices repeat the day before", "data", {}, _stale),
        Scenario("bad_tick", "one 10 σ tick", "data", {"sigmas": _TICK_SIGMAS}, _tick),
        Scenario("shuffled_history", "days in random order", "data", {}, _shuffled),
    )


def perturbation(scenario: Scenario, seed: int) -> Perturb:
    """The scenario as a change of batches; call it once per pass, batches in order."""
    generator = torch.Generator().manual_seed(seed + zlib.crc32(scenario.name.encode()))

    def perturb(window: Window) -> Window:
        return replace(window, past_waves=scenario.change(window.past_waves, generator))

    return perturb


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
