"""Which part of the known days a perturbation may touch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_core.axes import FIRST_SKY, TARGETS
from model_core.config.run import Mask
from model_core.nn.bundles import Reads

PRICES = len(TARGETS)
"""The first columns of ``past_waves`` are prices; the time step and the sky follow."""
LAST_DAYS = 5
MASK_TITLES = {
    "all": "everything",
    "prices": "prices",
    "sky": "the sky",
    "last_days": f"the last {LAST_DAYS} days",
}


def masks_that_touch(masks: Sequence[Mask], reads: Reads) -> tuple[tuple[Mask, ...], list[str]]:
    """Those of ``masks`` that cover something a model reads, and for each other one why it is left out."""
    if reads.past_sky or "sky" not in masks:
        return tuple(masks), []
    reason = f"noise and attacks on {MASK_TITLES['sky']}, since it does not reach this model's forecasts"
    return tuple(mask for mask in masks if mask != "sky"), [reason]


def mask_of(name: str, waves: Tensor) -> Tensor:
    """[B, S, W] 1 where the mask ``name`` lets ``past_waves`` be changed, else 0."""
    mask = torch.zeros_like(waves)
    match name:
        case "all":
            mask[:] = 1
        case "prices":
            mask[..., :PRICES] = 1
        case "sky":
            mask[..., FIRST_SKY:] = 1
        case "last_days":
            mask[:, -LAST_DAYS:] = 1
    return mask
