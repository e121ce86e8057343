"""Attacks: perturbations of the known days that the model's own gradients choose to hurt the forecast most.

FGSM takes one step of size ε along the sign of the loss's gradient (Goodfellow et al., 2015); PGD takes
several smaller ones from a random start and stays within ε (Madry et al., 2018). A mask limits what
the attacker may touch.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from model_core.config.run import DiagnosticsSettings
from model_core.data.windows import Window
from model_core.diagnostics.masks import MASK_TITLES, mask_of
from model_core.diagnostics.perturbations import Perturbation

FORECASTS_PER_GRADIENT = 3
"""What a gradient costs, in forecasts: the forecast itself, and a backward pass of about twice its work."""


@dataclass(frozen=True)
class Attack:
    """A perturbation to be found along the gradient: of one strength, on one part of the input."""

    method: str
    mask: str
    strength: float
    steps: int

    @property
    def name(self) -> str:
        """E.g. ``pgd_prices_0.05``."""
        return f"{self.method}_{self.mask}_{self.strength:g}"

    @property
    def title(self) -> str:
        """E.g. ``PGD 0.05 on prices``."""
        return f"{self.method.upper()} {self.strength:g} on {MASK_TITLES[self.mask]}"


def attacks(settings: DiagnosticsSettings) -> tuple[Attack, ...]:
    """FGSM and PGD, each at its strengths on every mask."""
    methods = (
        ("fgsm", 1, settings.attack_strengths),
        ("pgd", settings.pgd_steps, settings.pgd_strengths),
    )
    return tuple(
        Attack(method, mask, strength, steps)
        for method, steps, strengths in methods
        for mask in settings.attack_masks
        for strength in strengths
    )


def gradients_of(wanted: Sequence[Attack]) -> int:
    """How many gradients ``wanted`` take for each window; all of FGSM shares one."""
    shared = any(attack.method == "fgsm" for attack in wanted)
    return int(shared) + sum(attack.steps for attack in wanted if attack.method == "pgd")


class Attacker:
    """Attacks one model; attacks on the same clean batch share what they can.

    Args:
        model: with parameters that need no gradient, or each attack computes those gradients for nothing.
        seed: of PGD's random starts.
        advance: told after each gradient what it cost, in forecasts.
    """

    def __init__(
        self, model: nn.Module, seed: int, advance: Callable[[int], None] = lambda forecasts: None
    ) -> None:
        self._model = model
        self._seed = seed
        self._advance = advance
        self._last: tuple[Window, Tensor] | None = None

    def perturbation(self, attack: Attack) -> Perturbation:
        """The perturbation that ``attack`` finds for each batch."""
        generator = torch.Generator().manual_seed(self._seed + zlib.crc32(attack.name.encode()))

        def perturb(window: Window) -> Window:
            if attack.method == "fgsm":
                return self._fgsm(window, attack)
            return self._pgd(window, attack, generator)

        parameters: dict[str, float | str] = {
            "strength": attack.strength,
            "steps": float(attack.steps),
            "mask": attack.mask,
        }
        return Perturbation(attack.name, attack.title, "attack", parameters, perturb)

    def _fgsm(self, window: Window, attack: Attack) -> Window:
        change = attack.strength * mask_of(attack.mask, window.past_waves) * self._clean_direction(window)
        return replace(window, past_waves=window.past_waves + change)

    def _pgd(self, window: Window, attack: Attack, generator: torch.Generator) -> Window:
        mask, strength = mask_of(attack.mask, window.past_waves), attack.strength
        start = torch.rand(window.past_waves.shape, generator=generator).to(mask.device)
        change = mask * strength * (2 * start - 1)
        # Two and a half times ε in all: enough to reach any corner of the allowed box.
        size = 2.5 * strength / attack.steps
        for _ in range(attack.steps):
            change = change + mask * size * self._direction(window, change)
            change = change.clamp(-strength, strength)
        return replace(window, past_waves=window.past_waves + change)

    def _clean_direction(self, window: Window) -> Tensor:
        """FGSM of every strength on every mask follows the same gradient: it is computed once a batch."""
        if self._last is None or self._last[0] is not window:
            self._last = (window, self._direction(window, torch.zeros_like(window.past_waves)))
        return self._last[1]

    def _direction(self, window: Window, change: Tensor) -> Tensor:
        """Sign of the gradient of the squared error at the changed input."""
        change = change.detach().requires_grad_()
        with torch.enable_grad():
            forecast = self._model(replace(window, past_waves=window.past_waves + change)).point
            loss = (forecast - window.target).square().mean()
        (gradient,) = torch.autograd.grad(loss, change)
        self._advance(FORECASTS_PER_GRADIENT * len(window))
        return gradient.sign()
