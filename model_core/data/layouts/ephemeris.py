"""Layout ``ephemeris``: checked prices and the sky that is computed for their dates."""

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.data import DataSettings
from model_core.data.calendar import next_trading_dates, trading_week
from model_core.data.layouts.wave_table import WaveTable
from model_core.data.reading.sources import SourceTable
from model_core.data.reading.table import check_table
from model_core.data.splits import make_splits
from model_core.results.quality import Prices
from model_core.sky.ephemeris import sky_waves


def computed_waves(source: SourceTable, settings: DataSettings) -> WaveTable:
    """The waves of a market table: its log prices, its time step, and the sky of its dates.

    Raises:
        SourceError: the table is refused, or too short for one window of each split.
        SkyError: a date lies outside the ephemeris.
    """
    table = check_table(source, settings)
    # Before the sky is computed, so that a table that is too short is refused at once.
    splits = make_splits(table.dates, settings.window, settings.splits, settings.scale_rows)
    horizon = settings.window.pred_len
    week = trading_week(table.dates)
    future_dates = next_trading_dates(table.dates[-1], horizon, settings.holidays, week)
    dates = np.concatenate([table.dates, future_dates])
    sky = sky_waves(dates, settings.sky).to_numpy(dtype=np.float64)
    log_prices = np.concatenate([np.log(table.prices), np.full((horizon, len(TARGETS)), np.nan)])
    waves = np.concatenate([log_prices, time_delta(dates), sky], axis=1)
    rows = len(table.dates)
    return WaveTable(
        layout="ephemeris",
        dates=table.dates,
        waves=waves[:rows],
        future_dates=future_dates,
        future_waves=waves[rows:],
        splits=splits,
        prices=Prices(),
        warnings=table.warnings,
        reading=table.reading,
    )


def time_delta(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """[n, 1] days since the row before; the first row repeats the second one's."""
    days = np.diff(dates).astype(np.float64)
    return np.concatenate([days[:1], days])[:, None]
