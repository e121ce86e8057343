"""Small real markets for tests: a noise market, its dataset, and a table as a person would save it."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from model_core.config.data import DataSettings, SyntheticSettings, WindowSettings
from model_core.data.dataset import MarketDataset
from model_core.data.prepare import prepare

WINDOW = WindowSettings(seq_len=16, label_len=8, pred_len=3)
SETTINGS = DataSettings(window=WINDOW, synthetic=SyntheticSettings(rows=300, effect_bp_per_day=0.0))


@cache
def noise_dataset() -> MarketDataset:
    """300 rows of the pure-noise sample, prepared by the real code."""
    return prepare("sample://synthetic", SETTINGS)


def table(rows: int = 300) -> pd.DataFrame:
    """A valid market table with ISO dates as text."""
    random = np.random.default_rng(5)
    dates = np.busday_offset(np.datetime64("2010-01-04"), np.arange(rows))
    close = 100 * np.exp(np.cumsum(0.01 * random.standard_normal(rows)))
    opened = close * np.exp(0.003 * random.standard_normal(rows))
    return pd.DataFrame(
        {
            "Date": dates.astype(str),
            "Open": opened,
            "High": np.maximum(opened, close) * 1.004,
            "Low": np.minimum(opened, close) * 0.996,
            "Close": close,
        }
    )


def saved(frame: pd.DataFrame, folder: Path, name: str = "market.csv") -> str:
    """The table as a CSV file; returns its path."""
    path = folder / name
    frame.to_csv(path, index=False)
    return str(path)
