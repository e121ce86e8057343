"""From a checked price table to a prepared dataset: sky, splits, scaler, structured walk."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.run import DataSettings
from model_core.data.calendar import next_trading_dates
from model_core.data.dataset import MarketDataset
from model_core.data.scaling import Scaler
from model_core.data.sources import SourceTable, read_source
from model_core.data.splits import Splits, make_splits
from model_core.data.table import PriceTable, check_table
from model_core.data.walk import fit_structured_walk
from model_core.sky.ephemeris import sky_waves
from model_core.sky.waves import Wave, waves_of

_FIRST_SKY = len(TARGETS) + 1
_OUTSIDE_SHARE = 0.01
"""A wave is listed as leaving its train range when this share of its test rows lies outside."""


def prepare(source: str, settings: DataSettings) -> MarketDataset:
    """Read, check and prepare the market table at ``source``.

    Raises:
        SourceError: the table is missing, refused, or too short for one window of each split.
        SkyError: a date lies outside the ephemeris.
    """
    found = read_source(source, settings)
    table = check_table(found, settings)
    # Before the sky is computed, so that a table that is too short is refused at once.
    splits = make_splits(table.dates, settings.window, settings.splits, settings.scale_rows)
    horizon = settings.window.pred_len
    future_dates = next_trading_dates(table.dates[-1], horizon, settings.holidays)
    dates = np.concatenate([table.dates, future_dates])
    sky = sky_waves(dates, settings.sky).to_numpy(dtype=np.float64)

    log_prices = np.log(table.prices)
    unknown = np.full((horizon, len(TARGETS)), np.nan)
    waves = np.concatenate([np.concatenate([log_prices, unknown]), _time_delta(dates), sky], axis=1)
    rows = len(table.dates)
    specs = waves_of("ephemeris")
    train_rows = slice(0, splits.train.stop + horizon)
    return MarketDataset(
        dates=table.dates,
        waves=waves[:rows],
        layout="ephemeris",
        splits=splits,
        scaler=Scaler.fit(waves[:rows], specs, train_rows),
        walk=fit_structured_walk(log_prices, splits, horizon, settings.scale_rows),
        window=settings.window,
        scale_rows=settings.scale_rows,
        future_dates=future_dates,
        future_waves=waves[rows:],
        quality=_quality(found, table, waves[:rows], specs, splits, horizon),
    )


def _time_delta(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """[n, 1] days since the row before; the first row repeats the second one's."""
    days = np.diff(dates).astype(np.float64)
    return np.concatenate([days[:1], days])[:, None]


def _quality(
    found: SourceTable,
    table: PriceTable,
    waves: NDArray[np.float64],
    specs: tuple[Wave, ...],
    splits: Splits,
    horizon: int,
) -> dict[str, Any]:
    closes = table.prices[:, TARGETS.index("Close")]
    returns = np.diff(np.log(closes))
    train = waves[: splits.train.stop + horizon]
    constant = [spec.name for spec, column in zip(specs, train.T, strict=True) if np.ptp(column) < 1e-12]
    return {
        "source": {"uri": found.uri, "sha256": found.sha256},
        "rows": len(table.dates),
        "first_date": str(table.dates[0]),
        "last_date": str(table.dates[-1]),
        "statistics": {
            "first_close": float(closes[0]),
            "last_close": float(closes[-1]),
            "daily_volatility": float(returns.std()),
            "largest_daily_move": float(np.abs(returns).max()),
        },
        "warnings": list(table.warnings),
        "constant_waves": constant,
        "out_of_train_range": _out_of_train_range(train, waves, specs, splits),
    }


def _out_of_train_range(
    train: NDArray[np.float64], waves: NDArray[np.float64], specs: tuple[Wave, ...], splits: Splits
) -> list[dict[str, Any]]:
    """Waves whose test rows leave what training saw: there a model extrapolates."""
    test = waves[splits.test.first :]
    low, high = train.min(axis=0), train.max(axis=0)
    share = ((test < low) | (test > high)).mean(axis=0)
    columns = pd.DataFrame(
        {
            "wave": [spec.name for spec in specs],
            "train_min": low,
            "train_max": high,
            "test_min": test.min(axis=0),
            "test_max": test.max(axis=0),
            "share_outside": share,
        }
    )
    outside = columns[columns["share_outside"] > _OUTSIDE_SHARE].sort_values(
        ["share_outside", "wave"], ascending=[False, True]
    )
    return [{str(name): value for name, value in row.items()} for row in outside.to_dict("records")]
