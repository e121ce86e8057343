"""How much worse forecasts get when inputs are disturbed, beside what a random walk loses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_core.axes import TARGETS
from model_core.config.run import DiagnosticsSettings
from model_core.data.dataset import MarketDataset
from model_core.data.walk import CLOSE
from model_core.data.windows import FIRST_SKY, Window, WindowSet
from model_core.diagnostics.attacks import Attack, attacked, attacks
from model_core.diagnostics.scenarios import (
    Scenario,
    data_scenarios,
    perturbation,
    published_scenarios,
)
from model_core.evaluation.predict import Perturb, Predictions, evaluate_model, unchanged
from model_core.evaluation.significance import Interval, block_length, ratio_interval
from model_core.metrics.point import PUBLISHED, point_metrics

_PRICES = FIRST_SKY - 1
_MODEL, _WALK = slice(0, len(TARGETS)), slice(len(TARGETS), None)


@dataclass(frozen=True)
class WalkForecast:
    """A forecast without a mixture."""

    point: Tensor
    mixture: None = None


class ShownWalk(nn.Module):
    """The structured random walk that believes what it is shown.

    It takes the last Close and the recent range from the disturbed input; on clean input it is the
    structured walk itself.
    """

    def __init__(self, dataset: MarketDataset, device: torch.device) -> None:
        super().__init__()
        self.a = torch.as_tensor(dataset.walk.a, dtype=torch.float32, device=device)
        self.b = torch.as_tensor(dataset.walk.b, dtype=torch.float32, device=device)
        self.scale_rows = dataset.scale_rows

    def forward(self, window: Window) -> WalkForecast:
        prices = window.past_waves[:, -self.scale_rows :, :_PRICES]
        ranges = prices[..., TARGETS.index("High")] - prices[..., TARGETS.index("Low")]
        shown_scale = ranges.mean(1).clamp_min(0)[:, None, None]
        shown_close = prices[:, -1, CLOSE][:, None, None]
        return WalkForecast(shown_close + self.a / window.scale[:, None, None] + self.b * shown_scale)


class BesideWalk(nn.Module):
    """Model and walk on one and the same input: targets 0 … 3 are the model's, 4 … 7 the walk's."""

    def __init__(self, model: nn.Module, walk: ShownWalk) -> None:
        super().__init__()
        self.model = model
        self.walk = walk

    def forward(self, window: Window) -> WalkForecast:
        return WalkForecast(torch.cat([self.model(window).point, self.walk(window).point], dim=-1))


@dataclass(frozen=True)
class Subject:
    """The model and the walk, and their absolute errors on the clean windows."""

    model: nn.Module
    both: BesideWalk
    windows: WindowSet
    clean: Predictions


def subject_of(
    model: nn.Module, dataset: MarketDataset, device: torch.device, settings: DiagnosticsSettings
) -> Subject:
    """Forecast the clean test windows once; every scenario is compared with these."""
    windows = WindowSet(dataset, "test", device)
    both = BesideWalk(model, ShownWalk(dataset, device))
    clean = evaluate_model(both, windows, settings.batch_size, unchanged, settings.max_batches)
    return Subject(model, both, windows, clean)


def scenario_findings(subject: Subject, settings: DiagnosticsSettings) -> list[dict[str, Any]]:
    """One finding per scenario that needs no gradient."""
    scenarios: Iterable[Scenario] = (*published_scenarios(settings), *data_scenarios(settings))
    return [
        _finding(
            subject,
            settings,
            name=scenario.name,
            title=scenario.title,
            group=scenario.group,
            parameters=scenario.parameters,
            perturb=perturbation(scenario, settings.seed),
        )
        for scenario in scenarios
    ]


def attack_findings(subject: Subject, settings: DiagnosticsSettings) -> list[dict[str, Any]]:
    """One finding per attack; the attacker knows the model, the walk only sees what he did."""
    return [
        _finding(
            subject,
            settings,
            name=attack.name,
            title=f"{attack.method.upper()} {attack.strength:g} on {attack.mask.replace('_', ' ')}",
            group="attack",
            parameters={"strength": attack.strength, "steps": attack.steps, "mask": attack.mask},
            perturb=_attack(subject.model, attack, settings),
        )
        for attack in attacks(settings)
    ]


def _attack(model: nn.Module, attack: Attack, settings: DiagnosticsSettings) -> Perturb:
    generator = torch.Generator().manual_seed(settings.seed)
    return lambda window: attacked(model, window, attack, generator)


def _finding(
    subject: Subject,
    settings: DiagnosticsSettings,
    *,
    name: str,
    title: str,
    group: str,
    parameters: dict[str, float | str],
    perturb: Perturb,
) -> dict[str, Any]:
    clean = subject.clean
    disturbed = evaluate_model(
        subject.both, subject.windows, settings.batch_size, perturb, settings.max_batches
    )
    degradation = _degradation(_losses(disturbed, _MODEL), _losses(clean, _MODEL), clean, settings)
    walk_degradation = _degradation(_losses(disturbed, _WALK), _losses(clean, _WALK), clean, settings)
    forecast = disturbed.forecast[..., _MODEL]
    return {
        "name": name,
        "title": title,
        "group": group,
        "parameters": parameters,
        "windows": len(disturbed),
        "clean": _published(clean.true, clean.forecast[..., _MODEL], clean.anchor),
        "perturbed": _published(disturbed.true, forecast, disturbed.anchor),
        "per_target": {
            target: _published(disturbed.true[..., k], forecast[..., k], disturbed.anchor)
            for k, target in enumerate(TARGETS)
        },
        "degradation": _json(degradation),
        "walk_degradation": _json(walk_degradation),
        "excess": degradation.value - walk_degradation.value,
        "fragile": degradation.low > max(walk_degradation.high, 1.0),
    }


def _degradation(
    disturbed: NDArray[np.float64],
    clean: NDArray[np.float64],
    windows: Predictions,
    settings: DiagnosticsSettings,
) -> Interval:
    """Ratio of mean absolute log errors [n], disturbed over clean, with a paired block-bootstrap interval."""
    interval, _ = ratio_interval(
        disturbed,
        clean,
        block=block_length(disturbed - clean, windows.true.shape[1]),
        replications=settings.bootstrap_replications,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    return interval


def _losses(p: Predictions, whose: slice) -> NDArray[np.float64]:
    return np.abs(p.forecast[..., whose] - p.true).mean(axis=(1, 2))


def _published(
    true: NDArray[np.float64], forecast: NDArray[np.float64], anchor: NDArray[np.float64]
) -> dict[str, float | None]:
    """The published five on the price scale."""
    origin = anchor.reshape(-1, *([1] * (true.ndim - 1)))
    metrics = point_metrics(np.exp(true + origin), np.exp(forecast + origin))
    return {name: metrics[name] for name in PUBLISHED}


def _json(interval: Interval) -> dict[str, float]:
    return {"ratio": interval.value, "low": interval.low, "high": interval.high}
