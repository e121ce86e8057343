"""What everything that forecasts has in common: the models, and what is wrapped around them."""

from abc import ABC, abstractmethod

from torch import nn

from model_core.data.windows import Window
from model_core.nn.bundles import Forecast, LearnedGraph, Reads


class Forecaster(nn.Module, ABC):
    """``forward(window)`` returns a ``Forecast``."""

    reads: Reads
    """What of a window reaches the point forecast."""

    baseline: nn.Module
    """Known displacements and the window's scale → ``Baseline``."""

    @abstractmethod
    def at_rest(self, window: Window) -> Forecast:
        """What it says before training: the base that its forecasts are a correction of."""

    @abstractmethod
    def explain(self, window: Window) -> LearnedGraph:
        """What it looks at."""
