"""White-box attacks: small changes of the known days chosen to hurt the forecast most.

FGSM takes one step of size ε along the sign of the loss's gradient (Goodfellow et al., 2015); PGD takes
several smaller ones from a random start and stays within ε (Madry et al., 2018). A mask limits what
the attacker may touch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from model_core.config.run import DiagnosticsSettings
from model_core.data.windows import FIRST_SKY, Window

_PRICES = FIRST_SKY - 1
_LAST_DAYS = 5
MASKS = ("all", "prices", "sky", "last_days")


@dataclass(frozen=True)
class Attack:
    """An attack of one strength on one part of the input."""

    method: str
    mask: str
    strength: float
    steps: int

    @property
    def name(self) -> str:
        """E.g. ``pgd_prices_0.05``."""
        return f"{self.method}_{self.mask}_{self.strength:g}"


def attacks(settings: DiagnosticsSettings) -> tuple[Attack, ...]:
    """FGSM and PGD at every strength on every mask."""
    return tuple(
        Attack(method, mask, strength, steps)
        for method, steps in (("fgsm", 1), ("pgd", settings.pgd_steps))
        for mask in MASKS
        for strength in settings.attack_strengths
    )


def attacked(model: nn.Module, window: Window, attack: Attack, generator: torch.Generator) -> Window:
    """The window with ``past_waves`` moved by at most ``attack.strength`` where the mask allows."""
    mask = _mask(attack.mask, window.past_waves)
    strength = attack.strength
    # Two and a half times ε in all: enough to reach any corner of the allowed box.
    size = strength if attack.steps == 1 else 2.5 * strength / attack.steps
    change = torch.zeros_like(window.past_waves)
    if attack.steps > 1:
        start = torch.rand(change.shape, generator=generator).to(change.device)
        change = mask * strength * (2 * start - 1)
    for _ in range(attack.steps):
        change = change.detach().requires_grad_()
        with torch.enable_grad():
            forecast = model(replace(window, past_waves=window.past_waves + change)).point
            loss = (forecast - window.target).square().mean()
        (gradient,) = torch.autograd.grad(loss, change)
        change = (change.detach() + mask * size * gradient.sign()).clamp(-strength, strength)
    return replace(window, past_waves=window.past_waves + change.detach())


def _mask(name: str, waves: Tensor) -> Tensor:
    """1 where the attacker may change ``past_waves``."""
    mask = torch.zeros_like(waves)
    match name:
        case "all":
            mask[:] = 1
        case "prices":
            mask[..., :_PRICES] = 1
        case "sky":
            mask[..., FIRST_SKY:] = 1
        case "last_days":
            mask[:, -_LAST_DAYS:] = 1
    return mask
