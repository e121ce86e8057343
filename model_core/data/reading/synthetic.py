"""``sample://synthetic``: a seeded market with a known celestial effect, the positive control.

The daily log return of Close is

    r(t) = effect · sin(λ_Moon(t) − λ_Sun(t)) + volatility · z(t),   z standard normal,

so the effect follows the Moon's phase: up while it waxes, down while it wanes, zero on average. With
``effect_bp_per_day: 0`` the same seed gives the pure-noise twin. The other prices form candles around
Close with random, but always valid, gaps and ranges.
"""

import numpy as np
import pandas as pd

from model_core.config.data import SkySettings, SyntheticSettings
from model_core.sky.ephemeris import sky_waves
from model_core.sky.waves import Quantity, column_of, waves_of

EFFECT_BODY = "Moon"
EFFECT_QUANTITY: Quantity = "synodic_sin"
_FIRST_CLOSE = 1000.0
_GAP_SHARE = 0.3
_WICK_SHARE = 0.5
"""Sizes of the overnight gap and of each wick, in units of the daily volatility."""


def synthetic_table(settings: SyntheticSettings, sky: SkySettings) -> pd.DataFrame:
    """Date, Open, High, Low, Close of ``settings.rows`` weekdays from ``settings.start``."""
    dates = np.busday_offset(np.datetime64(settings.start), np.arange(settings.rows), roll="forward")
    specs = waves_of("ephemeris")
    wave = specs[column_of(specs, EFFECT_BODY, EFFECT_QUANTITY)].name
    signal = sky_waves(dates, sky)[wave].to_numpy()

    random = np.random.default_rng(settings.seed)
    volatility = settings.volatility_per_day
    noise = volatility * random.standard_normal(settings.rows)
    log_close = np.log(_FIRST_CLOSE) + np.cumsum(settings.effect_bp_per_day * 1e-4 * signal + noise)
    previous = np.concatenate([[np.log(_FIRST_CLOSE)], log_close[:-1]])
    log_open = previous + _GAP_SHARE * volatility * random.standard_normal(settings.rows)
    upper, lower = _WICK_SHARE * volatility * np.abs(random.standard_normal((2, settings.rows)))
    logs = {
        "Open": log_open,
        "High": np.maximum(log_open, log_close) + upper,
        "Low": np.minimum(log_open, log_close) - lower,
        "Close": log_close,
    }
    return pd.DataFrame({"Date": dates} | {name: np.exp(value) for name, value in logs.items()})
