"""A 118-column table as it is published, made from a small market and a real sky."""

from functools import cache

import numpy as np
import pandas as pd

from model_core.config.data import DataSettings, SkySettings
from model_core.sky.ephemeris import sky_waves
from model_core.sky.waves import waves_of
from tests.data.market import WINDOW, table

PUBLISHED = DataSettings(layout="published", window=WINDOW)
PRICES = ["log_Open", "log_High", "log_Low", "log_Close"]
NODES = {"North node": "North_node", "South node": "South_node"}


@cache
def _sky(rows: int) -> pd.DataFrame:
    dates = table(rows)["Date"].to_numpy().astype("datetime64[D]")
    computed = sky_waves(dates, SkySettings())
    random = np.random.default_rng(8)
    columns: dict[str, object] = {}
    for wave in (wave for wave in waves_of("published") if wave.kind == "sky"):
        match wave.quantity:
            case "natal_sin" | "natal_cos":
                degrees = 7.0 * sum(map(ord, wave.name.rpartition("_")[0]))
                function = np.sin if wave.quantity == "natal_sin" else np.cos
                columns[wave.name] = function(np.radians(np.full(rows, degrees)))
            case "shadbala":
                columns[wave.name] = 400 + np.cumsum(random.standard_normal(rows))
            case _:
                ending = wave.name.removeprefix("dyn_").partition("_")[2]
                columns[wave.name] = computed[
                    f"dyn_{NODES.get(str(wave.body), wave.body)}_{ending}"
                ].to_numpy()
    return pd.DataFrame(columns)


def published(rows: int = 300) -> pd.DataFrame:
    """``date`` and the 118 waves, prices as log prices."""
    market = table(rows)
    logs = pd.DataFrame({f"log_{name}": np.log(market[name]) for name in ("Open", "High", "Low", "Close")})
    days = market["Date"].to_numpy().astype("datetime64[D]")
    step = np.diff(days, prepend=days[0] - 1).astype(float)
    return pd.concat(
        [market["Date"].rename("date"), logs, pd.Series(step, name="time_delta"), _sky(rows)], axis=1
    )


def returns_on_the_previous_close(rows: int = 300) -> pd.DataFrame:
    """The same table from its second row on, each price as a log return on the Close before."""
    whole = published(rows)
    previous = whole["log_Close"].shift()
    return whole.assign(**{name: whole[name] - previous for name in PRICES})[1:].reset_index(drop=True)


def returns_of_each_column(rows: int = 300) -> pd.DataFrame:
    """The same table from its second row on, each price as a log return on itself."""
    whole = published(rows)
    return whole.assign(**{name: whole[name].diff() for name in PRICES})[1:].reset_index(drop=True)
