"""How much worse forecasts get when inputs are disturbed, beside what a random walk loses."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import DiagnosticsSettings
from model_core.data.dataset import MarketDataset
from model_core.data.windows import Window, WindowSet
from model_core.diagnostics.attacks import FORECASTS_PER_GRADIENT, Attacker, attacks, gradients_of
from model_core.diagnostics.growth import compare_growth
from model_core.diagnostics.masks import PRICES
from model_core.diagnostics.scenarios import data_scenarios, perturbation, published_scenarios
from model_core.evaluation.predict import Perturb, Predictions, evaluate_each, evaluate_model
from model_core.metrics.point import point_errors
from model_core.nn.baseline import recent_ranges
from model_core.progress import ProgressMeter, duration
from model_core.results.findings import ScenarioResult
from model_core.results.scores import PublishedErrors

log = logging.getLogger("pgat.diagnose")

_MODEL, _WALK = slice(0, len(TARGETS)), slice(len(TARGETS), None)


@dataclass(frozen=True)
class WalkForecast:
    """A forecast without a mixture."""

    point: Tensor
    mixture: None = None
    unshrunk: None = None


class PerturbedInputWalk(nn.Module):
    """The structured random walk that believes what it is shown.

    It takes the last Close and all ranges from the disturbed input; on clean input it is the structured walk itself.
    """

    def __init__(self, dataset: MarketDataset, device: torch.device) -> None:
        super().__init__()
        self.a = torch.as_tensor(dataset.walk.a, dtype=torch.float32, device=device)
        self.b = torch.as_tensor(dataset.walk.b, dtype=torch.float32, device=device)
        self.c = torch.as_tensor(dataset.walk.c, dtype=torch.float32, device=device)
        self.days = (dataset.scale_rows, *dataset.walk.days)

    def forward(self, window: Window) -> WalkForecast:
        prices = window.past_waves[..., :PRICES]
        # [B, 1 + ranges, 1, 1] · [1 + ranges, P, T]
        ranges = recent_ranges(prices, self.days)[:, :, None, None]
        shown = (ranges * torch.cat([self.b.unsqueeze(0), self.c])).sum(1)
        shown_close = prices[:, -1, CLOSE][:, None, None]
        return WalkForecast(shown_close + self.a / window.scale[:, None, None] + shown)


class ModelAndWalk(nn.Module):
    """Model and walk on one and the same input: targets 0 … 3 are the model's, 4 … 7 the walk's."""

    def __init__(self, model: nn.Module, walk: PerturbedInputWalk) -> None:
        super().__init__()
        self.model = model
        self.walk = walk

    def forward(self, window: Window) -> WalkForecast:
        return WalkForecast(torch.cat([self.model(window).point, self.walk(window).point], dim=-1))


@dataclass(frozen=True)
class DiagnosisTarget:
    """The model and the walk, and their forecasts of the clean windows."""

    model: nn.Module
    both: ModelAndWalk
    windows: WindowSet
    clean: Predictions
    clean_seconds: float
    """How long the forecasts of the clean windows took."""

    @property
    def overlap(self) -> int:
        """How many neighboring windows share target days: P if all are scored, fewer if they are spread."""
        spacing = (len(self.windows) - 1) / max(len(self.clean) - 1, 1)
        return max(1, math.ceil(self.clean.true.shape[1] / max(spacing, 1.0)))


@dataclass(frozen=True)
class Perturbation:
    """A change of the known days, and what it is called."""

    name: str
    title: str
    group: str
    """``published``, ``noise``, ``data`` or ``attack``."""
    parameters: Mapping[str, float | str]
    perturb: Perturb


def target_of_diagnosis(
    model: nn.Module, dataset: MarketDataset, device: torch.device, settings: DiagnosticsSettings
) -> DiagnosisTarget:
    """Forecast the clean test windows once; every disturbance is compared with these."""
    windows = WindowSet(dataset, "test", device)
    both = ModelAndWalk(model, PerturbedInputWalk(dataset, device))
    at_most = settings.windows_of(len(windows))
    begun = time.monotonic()
    clean = evaluate_model(both, windows, settings.batch_size, at_most, "forecasting clean windows")
    return DiagnosisTarget(model, both, windows, clean, time.monotonic() - begun)


def perturbations(
    model: nn.Module, settings: DiagnosticsSettings, advance: Callable[[int], None]
) -> Iterator[Perturbation]:
    """Everything that the settings ask for: published scenarios, noise, data faults, attacks.

    Args:
        advance: told of the gradients that attacks take, in forecasts that cost as much.
    """
    for scenario in (*published_scenarios(settings), *data_scenarios(settings)):
        yield Perturbation(
            scenario.name,
            scenario.title,
            scenario.group,
            scenario.parameters,
            perturbation(scenario, settings.seed),
        )
    if not settings.attacks:
        return
    attacker = Attacker(model, settings.seed, advance)
    for attack in attacks(settings):
        yield Perturbation(
            attack.name,
            attack.title,
            "attack",
            {"strength": attack.strength, "steps": float(attack.steps), "mask": attack.mask},
            attacker.perturbation(attack),
        )


def all_findings(subject: DiagnosisTarget, settings: DiagnosticsSettings) -> tuple[ScenarioResult, ...]:
    """One finding per disturbance. An attacker knows the model; the walk only sees what he did."""
    windows = len(subject.clean)
    scenarios = len(published_scenarios(settings)) + len(data_scenarios(settings))
    attempts = attacks(settings) if settings.attacks else ()
    forecasts, gradients = scenarios + len(attempts), gradients_of(attempts)
    cost = windows * (forecasts + FORECASTS_PER_GRADIENT * gradients)
    log.info(
        "%d disturbances of %d of %d test windows: %d forecasts and %d gradients, the work of %d forecasts, about %s",
        forecasts,
        windows,
        len(subject.windows),
        forecasts * windows,
        gradients * windows,
        cost,
        duration(cost * subject.clean_seconds / windows),
    )
    with ProgressMeter("disturbing windows", cost, "forecasts") as meter:
        wanted = tuple(perturbations(subject.model, settings, meter.update))
        disturbed = evaluate_each(
            subject.both,
            subject.windows,
            settings.batch_size,
            [d.perturb for d in wanted],
            windows,
            meter.update,
        )
    return tuple(_finding(subject, settings, d, result) for d, result in zip(wanted, disturbed, strict=True))


def _finding(
    subject: DiagnosisTarget, settings: DiagnosticsSettings, disturbance: Perturbation, disturbed: Predictions
) -> ScenarioResult:
    clean = subject.clean
    growth = compare_growth(
        (_losses(disturbed, _MODEL), _losses(clean, _MODEL)),
        (_losses(disturbed, _WALK), _losses(clean, _WALK)),
        subject.overlap,
        settings,
        walk_reads=disturbance.parameters.get("mask") != "sky",
    )
    forecast = disturbed.forecast[..., _MODEL]
    return ScenarioResult(
        name=disturbance.name,
        title=disturbance.title,
        group=disturbance.group,
        parameters=dict(disturbance.parameters),
        windows=len(disturbed),
        clean=_published(clean.true, clean.forecast[..., _MODEL], clean.anchor),
        perturbed=_published(disturbed.true, forecast, disturbed.anchor),
        per_target={
            target: _published(disturbed.true[..., k], forecast[..., k], disturbed.anchor)
            for k, target in enumerate(TARGETS)
        },
        **dict(growth),
    )


def _losses(p: Predictions, whose: slice) -> NDArray[np.float64]:
    return np.abs(p.forecast[..., whose] - p.true).mean(axis=(1, 2))


def _published(
    true: NDArray[np.float64], forecast: NDArray[np.float64], anchor: NDArray[np.float64]
) -> PublishedErrors:
    """The published five on the price scale."""
    origin = anchor.reshape(-1, *([1] * (true.ndim - 1)))
    errors = point_errors(np.exp(true + origin), np.exp(forecast + origin))
    return PublishedErrors(**errors.model_dump(include=set(PublishedErrors.model_fields)))
