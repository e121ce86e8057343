"""Numbers that autocast may not round: softmaxes over edges, logarithms, long sums."""

from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_fp32(x: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """``x`` with at least 32 bits; fp32 and fp64 come back as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Within it, operations on the device of ``x`` keep the types that they are given."""
    return torch.autocast(x.device.type, enabled=False)
