"""What the waves of the sky are worth to a model: its error with the true ones beside its error with exchanged ones."""

from typing import Annotated, Literal

from pydantic import Field

from model_core.results.record import Count, Record, Rows, Words
from model_core.results.skill import Comparison

WaveGroup = Literal["days", "body", "quantity"]
"""What tells a part of the sky from others: its days, its body, or the quantity that is measured."""


class WaveImportance(Record):
    """The model with the true waves against itself with some of them from other windows.

    A positive skill says that these waves help: the share of the error with exchanged waves that the true ones save.
    """

    group: WaveGroup
    name: Words
    """``all``, ``known`` or ``ahead``; a body; or a quantity."""
    waves: Count
    """How many are exchanged."""
    point: Comparison
    """In squared log error of all targets and days of the horizon."""
    distribution: Comparison | None
    """In CRPS of Close; null for a head that forecasts a point only."""


class SkyImportance(Record):
    """Importance of the sky, whole and in parts, over test windows."""

    windows: Count
    """How many test windows were used, spread over the test span."""
    draws: Count
    """How often each part was exchanged with another window's; losses are means over them."""
    block: Count
    """How many neighbors among the ``windows`` were exchanged together."""
    parts: Annotated[Rows[WaveImportance], Field(min_length=1)]
