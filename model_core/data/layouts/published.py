"""Layout ``published``: a published table of 118 waves, imported by column name.

Chiron has no waves there: the model knows it by its learned embedding and the graph alone. The sky of
the days after the table is not in it either, so such a dataset ends with its table.
"""

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS, TIME_DELTA
from model_core.config.data import DataSettings
from model_core.data.layouts.ephemeris import time_delta
from model_core.data.layouts.log_prices import (
    PriceColumns,
    broken_candles,
    detect_price_kind,
    prices_from_returns,
)
from model_core.data.layouts.wave_table import WaveTable
from model_core.data.reading.numbers import read_numbers
from model_core.data.reading.preview import rows_as_read
from model_core.data.reading.problems import refusal, row_name
from model_core.data.reading.sources import SourceTable
from model_core.data.reading.strays import without_strays
from model_core.data.reading.table import DATE, find_columns, order_of, read_rows, too_few_rows
from model_core.data.reading.warnings import find_warnings, note
from model_core.data.splits import Splits, make_splits
from model_core.errors import Problem
from model_core.results.quality import TableWarning
from model_core.sky.waves import Wave, waves_of

_PRICES = slice(0, len(TARGETS))
_CIRCLE = 1e-3
"""How far sin² + cos² of a pair may lie from 1 before it is reported."""


def imported_waves(source: SourceTable, settings: DataSettings) -> WaveTable:
    """The waves of a published table, its prices as log prices.

    Raises:
        SourceError: columns are missing, values are not numbers, or the prices are neither log prices nor
            log returns: one error with every problem.
    """
    specs = waves_of("published")
    names = [wave.name for wave in specs]
    columns, problems = find_columns(source, names, settings)
    days = read_rows(source, columns, settings)
    numbers = read_numbers(source.frame, columns, names, settings.format)
    waves = numbers.values
    days, rows = without_strays(source.frame, columns, days, numbers.problems)
    order, unordered, sorting = order_of(days, settings)
    problems += [*rows, *unordered, *too_few_rows(len(waves), settings)]
    shown = rows_as_read(source.frame, columns, DATE, days.days, waves[:, _PRICES])
    reading = {**source.reading, **days.reading, **numbers.reading, **shown}
    if problems:
        raise refusal(source.uri, problems, days.days, reading)
    dates, waves = days.days[order], waves[order]
    splits = make_splits(dates, settings.window, settings.splits, settings.scale_rows)

    prices = detect_price_kind(waves[:, _PRICES])
    if isinstance(prices, Problem):
        raise refusal(source.uri, [prices], dates, reading)
    waves[:, _PRICES] = _log_prices(source, dates, waves[:, _PRICES], prices, splits, settings)
    notes = [
        *days.notes,
        *numbers.notes,
        *sorting,
        *_price_notes(dates, waves[:, _PRICES], prices, settings),
        *_time_notes(dates, waves[:, TIME_DELTA]),
        *_circle_notes(waves, specs),
        *find_warnings(dates, np.exp(waves[:, _PRICES])),
    ]
    return WaveTable(
        layout="published",
        dates=dates,
        waves=waves,
        future_dates=dates[:0],
        future_waves=waves[:0],
        splits=splits,
        prices=prices.rounded(),
        warnings=tuple(notes),
        reading=reading,
    )


def _log_prices(
    source: SourceTable,
    dates: NDArray[np.datetime64],
    columns: NDArray[np.float64],
    prices: PriceColumns,
    splits: Splits,
    settings: DataSettings,
) -> NDArray[np.float64]:
    """Log prices as they are, their candles checked, or summed up from log returns."""
    if prices.kind != "log prices":
        train_rows = splits.train.stop + settings.window.pred_len
        return prices_from_returns(columns, prices.kind, settings.price_anchor, train_rows)
    broken = [
        Problem("log_High or log_Low does not enclose log_Open and log_Close", _candle(columns[row]), row)
        for row in np.flatnonzero(broken_candles(columns)).tolist()
    ]
    if broken:
        raise refusal(source.uri, broken, dates)
    return columns


def _candle(row: NDArray[np.float64]) -> str:
    opened, high, low, close = (f"{value:.10g}" for value in row.tolist())
    return f"log_High {high} or log_Low {low} does not enclose log_Open {opened} and log_Close {close}"


def _price_notes(
    dates: NDArray[np.datetime64],
    log_prices: NDArray[np.float64],
    prices: PriceColumns,
    settings: DataSettings,
) -> list[TableWarning]:
    if prices.kind == "log prices":
        return []
    said = (
        f"the price columns hold {prices.kind} (lag-1 autocorrelation {prices.autocorrelation:.2f}, median size "
        f"{prices.median_size:.2g}); prices were summed up from a first Close of {settings.price_anchor:g}, "
        "data.price_anchor"
    )
    broken = np.flatnonzero(broken_candles(log_prices)).tolist()
    notes = [note("log_returns", len(dates), said)]
    if broken:
        message = "High or Low, summed up on its own, does not enclose Open and Close"
        notes.append(note("candles", len(broken), message, [row_name(row, dates) for row in broken[:5]]))
    return notes


def _time_notes(dates: NDArray[np.datetime64], written: NDArray[np.float64]) -> list[TableWarning]:
    """Rows (but the first, before which nothing is known) whose time step is not that of their dates."""
    wrong = np.flatnonzero(np.abs(written - time_delta(dates)[:, 0])[1:] > 1e-3) + 1
    if not len(wrong):
        return []
    examples = [row_name(row, dates) for row in wrong[:5].tolist()]
    return [note("time_delta", len(wrong), "time_delta differs from the days between the dates", examples)]


def _circle_notes(waves: NDArray[np.float64], specs: tuple[Wave, ...]) -> list[TableWarning]:
    """Angles that are not angles: pairs whose sine and cosine do not lie on the unit circle."""
    column = {wave.name: position for position, wave in enumerate(specs)}
    broken = []
    for name, sine in column.items():
        if name.endswith("_sin"):
            cosine = column[name.removesuffix("sin") + "cos"]
            if np.abs(waves[:, sine] ** 2 + waves[:, cosine] ** 2 - 1.0).max() > _CIRCLE:
                broken.append(name.removesuffix("_sin"))
    if not broken:
        return []
    return [
        note(
            "unit_circle", len(broken), "sine and cosine of a pair do not lie on the unit circle", broken[:5]
        )
    ]
