"""How much worse forecasts get when inputs are perturbed, beside what a random walk loses."""

import logging
import math
import time
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
from model_core.diagnostics.perturbations import Perturbation, data_perturbations, published_perturbations
from model_core.evaluation.predict import Predictions, evaluate_each, evaluate_model
from model_core.metrics.point import point_errors
from model_core.nn.baseline import recent_ranges
from model_core.progress import ProgressMeter, duration
from model_core.results.findings import PerturbationResult
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

    It takes the last Close and all ranges from the perturbed input; on clean input it is the structured walk itself.
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


def target_of_diagnosis(
    model: nn.Module, dataset: MarketDataset, device: torch.device, settings: DiagnosticsSettings
) -> DiagnosisTarget:
    """Forecast the clean test windows once; every perturbation is compared with these."""
    windows = WindowSet(dataset, "test", device)
    both = ModelAndWalk(model, PerturbedInputWalk(dataset, device))
    at_most = settings.windows_of(len(windows))
    begun = time.monotonic()
    clean = evaluate_model(both, windows, settings.batch_size, at_most, "forecasting clean windows")
    return DiagnosisTarget(model, both, windows, clean, time.monotonic() - begun)


def all_findings(target: DiagnosisTarget, settings: DiagnosticsSettings) -> tuple[PerturbationResult, ...]:
    """One finding per perturbation. Attacks are found with the model's gradients; the walk is shown what they found."""
    windows = len(target.clean)
    changes = (*published_perturbations(settings), *data_perturbations(settings))
    attempts = attacks(settings) if settings.attacks else ()
    forecasts, gradients = len(changes) + len(attempts), gradients_of(attempts)
    cost = windows * (forecasts + FORECASTS_PER_GRADIENT * gradients)
    log.info(
        "%d perturbations of %d of %d test windows: %d forecasts and %d gradients, the work of %d forecasts, about %s",
        forecasts,
        windows,
        len(target.windows),
        forecasts * windows,
        gradients * windows,
        cost,
        duration(cost * target.clean_seconds / windows),
    )
    with ProgressMeter("perturbing windows", cost, "forecasts") as meter:
        attacker = Attacker(target.model, settings.seed, meter.update)
        wanted = (*changes, *map(attacker.perturbation, attempts))
        perturbed = evaluate_each(
            target.both,
            target.windows,
            settings.batch_size,
            [each.perturb for each in wanted],
            windows,
            meter.update,
        )
    return tuple(
        _finding(target, settings, each, result) for each, result in zip(wanted, perturbed, strict=True)
    )


def _finding(
    target: DiagnosisTarget, settings: DiagnosticsSettings, perturbation: Perturbation, perturbed: Predictions
) -> PerturbationResult:
    clean = target.clean
    growth = compare_growth(
        (_losses(perturbed, _MODEL), _losses(clean, _MODEL)),
        (_losses(perturbed, _WALK), _losses(clean, _WALK)),
        target.overlap,
        settings,
        walk_reads=perturbation.parameters.get("mask") != "sky",
    )
    forecast = perturbed.forecast[..., _MODEL]
    return PerturbationResult(
        name=perturbation.name,
        title=perturbation.title,
        group=perturbation.group,
        parameters=dict(perturbation.parameters),
        windows=len(perturbed),
        clean=_published(clean.true, clean.forecast[..., _MODEL], clean.anchor),
        perturbed=_published(perturbed.true, forecast, perturbed.anchor),
        per_target={
            name: _published(perturbed.true[..., k], forecast[..., k], perturbed.anchor)
            for k, name in enumerate(TARGETS)
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
