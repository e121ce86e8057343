"""Windows: batches gathered by index from one contiguous table. The only data module with torch.

A window's prices are displacements: (log price − anchor) / scale, where the anchor is the log Close
of its last known row and the scale is the mean log High − log Low of the last rows. Multiplying all
prices by a constant therefore changes no input.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from model_core.axes import CLOSE, FIRST_SKY, TARGETS
from model_core.data.calendar import CALENDAR_FEATURES, calendar_features, trading_week
from model_core.data.dataset import MarketDataset
from model_core.data.walk import range_scale
from model_core.errors import ArtifactError

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Window:
    """A batch of windows. The model reads neither ``target`` nor ``dates`` nor ``anchor``."""

    past_waves: Float[Tensor, "B S W"]
    """Prices as displacements, angles raw, the rest scaled by the dataset's scaler."""
    past_calendar: Int[Tensor, "B S F"]
    future_sky: Float[Tensor, "B P K"]
    """The sky waves of the horizon, known in advance, scaled like the past ones."""
    future_calendar: Int[Tensor, "B P F"]
    target: Float[Tensor, "B P T"]
    """Displacements of the horizon; NaN for a window whose future is not known yet."""
    anchor: Float[Tensor, " B"]
    """float64 log Close of the last known row."""
    scale: Float[Tensor, " B"]
    dates: Int[Tensor, "B 1+P"]
    """Days since 1970-01-01 of the anchor and the horizon."""

    def __len__(self) -> int:
        return len(self.anchor)

    def to(self, device: torch.device | str) -> Self:
        """The same windows on another device."""
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class WindowSet:
    """The windows of one split of a dataset, in chronological order.

    Args:
        dataset: an opened dataset.
        split: whose windows.
        device: where the table lives and batches are gathered (move it once, gather there).
        stride: every ``stride``-th window only.
    """

    def __init__(
        self, dataset: MarketDataset, split: Split, device: torch.device | str = "cpu", stride: int = 1
    ) -> None:
        span = dataset.span(split)
        self._set_up(dataset, np.arange(span.first, span.stop, stride), torch.device(device))

    @classmethod
    def after_the_table(cls, dataset: MarketDataset, device: torch.device | str = "cpu") -> Self:
        """One window anchored at the table's last row; its targets are NaN.

        Raises:
            ArtifactError: the sky of the days after the table is not known (layout ``published``).
        """
        if len(dataset.future_dates) < dataset.window.pred_len:
            raise ArtifactError(
                f"a dataset of layout {dataset.layout} ends with its table, because the sky of later days is not "
                "in it; forecast its test windows, or prepare the prices with data.layout: ephemeris"
            )
        windows = cls.__new__(cls)
        windows._set_up(dataset, np.array([len(dataset.dates) - 1]), torch.device(device))
        return windows

    def _set_up(self, dataset: MarketDataset, anchor_rows: np.ndarray, device: torch.device) -> None:
        waves = np.concatenate([dataset.waves, dataset.future_waves])
        dates = np.concatenate([dataset.dates, dataset.future_dates])
        scaled = dataset.scaler.apply(waves)
        scaled[:, : len(TARGETS)] = 0.0
        scale = range_scale(dataset.log_prices, dataset.scale_rows)
        steps, horizon = dataset.window.seq_len, dataset.window.pred_len

        self.window = dataset.window
        self.device = device
        self.anchor_rows = torch.as_tensor(anchor_rows, device=device)
        # Contiguous, so that a batch of it is gathered in one sweep.
        self._log_prices = torch.as_tensor(np.ascontiguousarray(waves[:, : len(TARGETS)]), device=device)
        self._scale = torch.as_tensor(scale, device=device)
        self._days = torch.as_tensor(dates.astype("datetime64[D]").astype(np.int64), device=device)
        self._first_row = torch.arange(1 - steps, 1, device=device)
        self._horizon = torch.arange(1, horizon + 1, device=device)
        self._span = torch.arange(horizon + 1, device=device)
        table = torch.as_tensor(scaled, dtype=torch.float32, device=device)
        calendar = torch.as_tensor(calendar_features(dates, trading_week(dataset.dates)), device=device)
        assert calendar.shape[1] == len(CALENDAR_FEATURES)
        self._past_waves = _views(table, steps)
        self._past_calendar = _views(calendar, steps)
        self._past_prices = _views(self._log_prices, steps)
        self._sky = table[:, FIRST_SKY:]
        self._calendar = calendar

    def __len__(self) -> int:
        return len(self.anchor_rows)

    def batch(self, indices: Int[Tensor, " B"]) -> Window:
        """Windows number ``indices`` of this set, in that order."""
        anchors = self.anchor_rows[indices.to(self.device)]
        first = anchors - (self.window.seq_len - 1)
        horizon = anchors[:, None] + self._horizon
        anchor = self._log_prices[anchors, CLOSE]
        scale = self._scale[anchors]
        origin, unit = anchor[:, None, None], scale[:, None, None]

        past_waves = self._past_waves[first]
        past_waves[..., : len(TARGETS)] = (self._past_prices[first] - origin) / unit
        return Window(
            past_waves=past_waves,
            past_calendar=self._past_calendar[first],
            future_sky=self._sky[horizon],
            future_calendar=self._calendar[horizon],
            target=((self._log_prices[horizon] - origin) / unit).float(),
            anchor=anchor,
            scale=scale.float(),
            dates=self._days[anchors[:, None] + self._span],
        )

    def displacements(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B P T"]:
        """float64 log price − anchor of the horizon of windows number ``indices``: what forecasts are scored on.

        ``Window.target`` is the same in units of the scale and in float32, whose rounding (10⁻⁷) would be scored as
        an error of a forecast that is exact.
        """
        anchors = self.anchor_rows[indices.to(self.device)]
        anchor = self._log_prices[anchors, CLOSE][:, None, None]
        return self._log_prices[anchors[:, None] + self._horizon] - anchor

    def batches(self, batch_size: int) -> Iterator[Window]:
        """All windows once, in order; the last batch may be smaller."""
        for first in range(0, len(self), batch_size):
            yield self.batch(torch.arange(first, min(first + batch_size, len(self)), device=self.device))


def _views(table: Tensor, steps: int) -> Tensor:
    """[rows − steps + 1, steps, columns] overlapping views of a [rows, columns] table."""
    rows, columns = table.shape
    along_rows, along_columns = table.stride()
    return table.as_strided((rows - steps + 1, steps, columns), (along_rows, along_rows, along_columns))
