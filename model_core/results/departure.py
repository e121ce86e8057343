"""Whether a model does anything: how far its forecast departs from the base it starts from, and what moves it."""

from typing import Literal, Self, get_args

from pydantic import model_validator

from model_core.axes import TARGETS
from model_core.results.record import Count, Interval, Number, Record, Words
from model_core.results.skill import need

InputName = Literal["prices", "sky", "calendar"]
"""Kinds of input that are exchanged between windows, one at a time."""


class TargetDeparture(Interval):
    """The forecast less its base beside the truth less that base, for one target at the horizon."""

    size: Number
    """Root mean square of forecast − base, in log price."""
    realized: Number
    """The same of truth − base: the real movement."""
    share: Number | None
    """``size`` / ``realized``; null where the market never left the base."""
    correlation: Number | None
    """Of the two differences over the windows, −1 … 1, with its interval."""
    reason: Words | None
    """Why the correlation, or its interval, is null."""

    @model_validator(mode="after")
    def _reason_if_null(self) -> Self:
        if self.low is None and self.reason is None:
            raise ValueError("a correlation without an interval needs a reason")
        return self


class InputResponse(Record):
    """How far the forecast of Close moves beyond its base when one kind of input comes from another window."""

    size: Number
    """Root mean square of the change at the horizon, in log price."""
    share: Number | None
    """Of the real movement, as ``TargetDeparture.share``."""
    width: Number | None
    """Root mean square of the change of ln σ, of Close at the horizon; null for a head that forecasts a point only."""


class Departure(Record):
    """How far the forecast departs from its base, whether the market went the same way, and what moves it."""

    base: Words
    """Name of the baseline that the model starts from."""
    step: Count
    """Trading days ahead: the horizon."""
    targets: dict[str, TargetDeparture]
    width: Number | None
    """Root mean square of ln(σ / σ of the base), of Close at the horizon; null for a head that forecasts a point
    only."""
    exchanged_windows: Count
    """Windows behind ``inputs``, spread over the test span."""
    inputs: dict[str, InputResponse]
    """By what was exchanged: ``prices``, ``sky``, ``calendar``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        need(TARGETS, self.targets, "the departure of")
        need(get_args(InputName), self.inputs, "the response to")
        return self
