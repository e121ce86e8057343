"""One seed for every source of chance in a training run, and their states for an exact resume."""

import random
from typing import Any

import numpy as np
import torch

EPOCHS_APART = 1_000_003
"""How far the orders of neighboring seeds lie apart: runs of fewer epochs share none."""


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that still draw from the global generator
    torch.manual_seed(seed)


def epoch_order(count: int, seed: int, epoch: int) -> torch.Tensor:
    """[count] the order of the training windows in an epoch; depends on its arguments only."""
    generator = torch.Generator().manual_seed(seed * EPOCHS_APART + epoch)
    return torch.randperm(count, generator=generator)


def random_states() -> dict[str, Any]:
    """States of all generators that training may draw from, as tensors and plain values."""
    # The state that NumPy calls legacy is one of plain values and an array, which a checkpoint may hold as a tensor.
    numpy_state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    kind, keys, position, has_gauss, gauss = numpy_state
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """The inverse of ``random_states``."""
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
