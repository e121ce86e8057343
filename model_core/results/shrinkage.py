"""How much of what a model learned is kept: ``shrinkage.json`` beside the weights of the best checkpoint."""

from typing import ClassVar

from model_core.results.record import Count, Number, Record, Result, Share, Words


class Shares(Record):
    """How far forecasts are from their base: 0 is the base, 1 the model."""

    close: Share
    """Of the mean path of Close."""
    candle: Share
    """Of the mean of Open, High and Low about Close."""
    close_width: Share
    """Of the width of the distribution of Close, and of the weights of its components."""
    candle_width: Share
    """Of the widths of Open, High and Low in units of that of Close."""

    @property
    def means_are_the_base(self) -> bool:
        """Whether no part of the model reaches the point forecast."""
        return self.close == self.candle == 0


WHOLE = Shares(close=1.0, candle=1.0, close_width=1.0, candle_width=1.0)
"""Everything is kept."""


class FittedShare(Record):
    """One share and what the validation windows say of it."""

    share: Share
    base_loss: Number | None
    """Mean loss over the blocks if nothing is kept, in units of itself: 1."""
    kept_loss: Number | None
    """With the share, in the same unit."""
    model_loss: Number | None
    """If everything is kept, in the same unit."""


class Shrinkage(Result):
    """``best/shrinkage.json``: shares fitted on blocks of the validation windows, and applied to every forecast."""

    file: ClassVar[str] = "shrinkage.json"
    step: ClassVar[str] = "train"

    blocks: Count
    """Stretches of the validation windows that were judged on; 0 if they would be too short."""
    reason: Words | None
    """Why nothing could be judged, so that nothing is kept."""
    close: FittedShare
    """By the squared error of Close."""
    candle: FittedShare
    """By the squared error of Open, High and Low about that Close."""
    close_width: FittedShare | None
    """By the CRPS of Close; null for a head that forecasts a point only."""
    candle_width: FittedShare | None
    """By the CRPS of Open, High and Low."""

    @property
    def shares(self) -> Shares:
        """What forecasts are made with."""
        return Shares(
            close=self.close.share,
            candle=self.candle.share,
            close_width=self.close_width.share if self.close_width else 1.0,
            candle_width=self.candle_width.share if self.candle_width else 1.0,
        )
