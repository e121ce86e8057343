"""Candles that cannot be invalid: a Close, a range above zero, and two positions inside that range.

    Close = close₀ + δ_close          range = softplus(softplus⁻¹(range₀) + δ_range)
    u     = σ(logit(u₀) + δ_u)        Low = Close − u_close · range, High = Low + range,
                                      Open = Low + u_open · range

With δ = 0 the candle is the base candle again, so a zero-initialized head *is* its baseline. All of it
is computed in fp32, also under autocast. Prices here are displacements in units of the window's range.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from model_core.nn.casting import at_least_fp32

MIN_RANGE = 1e-3
"""Smallest base range, in window ranges; softplus⁻¹ of 0 is −∞. A thousandth of a day's range is a flat candle."""
MIN_MARGIN = 1e-4
"""Smallest distance of the base Open and Close from the ends of the base range, as a share of it.

The logit of 0 is −∞; that of 1e-4 is −9.2, where σ still has a gradient of 1e-4.
"""


def candle_coordinates(candle: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """Open, High, Low, Close → (softplus⁻¹ range, logit of Open, logit of Close, Close).

    An impossible candle (High below Low, Open outside) is moved to the nearest possible one.
    """
    opened, high, low, close = at_least_fp32(candle).unbind(-1)
    span = (high - low).clamp_min(MIN_RANGE)
    # log(e^span − 1), written so that neither a wide span overflows nor a narrow one cancels.
    raw_range = span + torch.log(-torch.expm1(-span))
    positions = torch.stack([(opened - low) / span, (close - low) / span], dim=-1)
    logits = torch.logit(positions.clamp(MIN_MARGIN, 1 - MIN_MARGIN))
    return torch.cat([raw_range.unsqueeze(-1), logits, close.unsqueeze(-1)], dim=-1)


def candle_from(coordinates: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """(softplus⁻¹ range, logit of Open, logit of Close, Close) → Open, High, Low, Close."""
    raw_range, open_logit, close_logit, close = at_least_fp32(coordinates).unbind(-1)
    span = F.softplus(raw_range)
    low = close - torch.sigmoid(close_logit) * span
    opened = low + torch.sigmoid(open_logit) * span
    # High is at least Open and Close to the last bit, whatever rounding did to the sum.
    high = torch.maximum(low + span, torch.maximum(opened, close))
    return torch.stack([opened, high, low, close], dim=-1)


def corrected_candle(base: Float[Tensor, "*B T"], correction: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """The base candle moved by a correction of its coordinates; 0 gives the base back."""
    return candle_from(candle_coordinates(base) + at_least_fp32(correction))
