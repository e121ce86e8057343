"""One seed for every source of chance in a training run, and their states for an exact resume."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that still draw from the global generator
    torch.manual_seed(seed)


def epoch_order(count: int, seed: int, epoch: int) -> torch.Tensor:
    """[count] the order of the training windows in an epoch; depends on nothing but its arguments."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)


def random_states() -> dict[str, torch.Tensor]:
    """States of the generators that a forward pass draws from (dropout)."""
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda_{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """The inverse of ``random_states``."""
    torch.set_rng_state(states["torch"])
    for name, state in states.items():
        if name.startswith("cuda_") and torch.cuda.is_available():
            torch.cuda.set_rng_state(state, int(name.removeprefix("cuda_")))
