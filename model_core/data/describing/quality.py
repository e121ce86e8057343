"""``quality.json``: what a reader should know of a table before believing a model of it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import CLOSE
from model_core.config.data import DataSettings
from model_core.data.calendar import trading_week, week_name
from model_core.data.layouts.wave_table import WaveTable
from model_core.data.reading.sources import SourceTable
from model_core.data.reading.warnings import note
from model_core.data.splits import MIN_INDEPENDENT_WINDOWS, independent_windows
from model_core.errors import printable
from model_core.results.quality import (
    IndependentWindows,
    OutsideWave,
    Quality,
    Sky,
    Source,
    Statistics,
    TableWarning,
)
from model_core.sky.waves import Wave

OUTSIDE_SHARE = 0.01
"""A wave is listed as leaving its train range when this share of its test rows lies outside."""
_CONSTANT = 1e-12
_NEGLIGIBLE = 1e-6
"""A value is outside only if it leaves the range by more than this share of its size: the speed of the Moon's nodes
drifts by a ten-millionth of itself, which no model can see."""


def quality_of(source: SourceTable, table: WaveTable, settings: DataSettings) -> Quality:
    """Source, rows, independent windows, warnings, constant waves, and waves that leave their train range."""
    closes = table.log_prices[:, CLOSE]
    returns = np.diff(closes)
    horizon = settings.window.pred_len
    warnings = [*table.warnings, *few_windows(len(table.splits.test), horizon)]
    train = table.waves[: table.splits.train.stop + horizon]
    test = table.waves[table.splits.test.first : table.splits.test.stop + horizon]
    independent = {
        name: independent_windows(len(span), horizon)
        for name, span in (
            ("train", table.splits.train),
            ("validation", table.splits.validation),
            ("test", table.splits.test),
        )
    }
    return Quality(
        source=Source(uri=printable(source.uri), sha256=source.sha256),
        reading={
            "week": week_name(trading_week(table.dates)),
            **{name: printable(text) for name, text in table.reading.items()},
        },
        layout=table.layout,
        sky=Sky(**settings.sky.model_dump(exclude={"cache"})) if table.layout == "ephemeris" else None,
        rows=len(table.dates),
        first_date=str(table.dates[0]),
        last_date=str(table.dates[-1]),
        prices=table.prices,
        statistics=Statistics(
            first_close=float(np.exp(closes[0])),
            last_close=float(np.exp(closes[-1])),
            daily_volatility=float(returns.std()),
            largest_daily_move=float(np.abs(returns).max()),
        ),
        independent_windows=IndependentWindows(**independent),
        warnings=tuple(warnings),
        warning_counts={warning.code: warning.count for warning in warnings},
        constant_waves=constant_waves(train, table.specs),
        out_of_train_range=out_of_train_range(train, test, table.specs),
    )


def few_windows(windows: int, horizon: int) -> list[TableWarning]:
    """A warning if this number of test windows can't carry a verdict, else nothing."""
    independent = independent_windows(windows, horizon)
    if independent >= MIN_INDEPENDENT_WINDOWS:
        return []
    need = MIN_INDEPENDENT_WINDOWS * horizon
    message = (
        f"the test span holds {windows} window{'s' * (windows != 1)} of {horizon} days, worth {independent:g} "
        f"independent ones; no verdict is given below {MIN_INDEPENDENT_WINDOWS}, so set data.splits such "
        f"that the test span has at least {need + horizon - 1} rows, or give a longer table"
    )
    return [note("few_windows", windows, message)]


def constant_waves(train: NDArray[np.float64], specs: tuple[Wave, ...]) -> tuple[str, ...]:
    """Names of the waves that do not move on the train rows [R, W]."""
    return tuple(
        spec.name
        for spec, extent in zip(specs, np.ptp(train, axis=0).tolist(), strict=True)
        if extent < _CONSTANT
    )


def out_of_train_range(
    train: NDArray[np.float64], test: NDArray[np.float64], specs: tuple[Wave, ...]
) -> tuple[OutsideWave, ...]:
    """Waves whose test rows leave what training saw: there a model extrapolates. Worst first."""
    low, high = train.min(axis=0), train.max(axis=0)
    slack = _NEGLIGIBLE * np.maximum(np.abs(low), np.abs(high))
    share = ((test < low - slack) | (test > high + slack)).mean(axis=0)
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
    outside = columns[columns["share_outside"] > OUTSIDE_SHARE].sort_values(
        ["share_outside", "wave"], ascending=[False, True]
    )
    return tuple(
        OutsideWave(**{str(name): value for name, value in row.items()}) for row in outside.to_dict("records")
    )
