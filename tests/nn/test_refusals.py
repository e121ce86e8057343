"""A model that cannot work is refused when its settings are read, before anything is built."""

import pytest
from pydantic import ValidationError

from model_core.build import build_model
from model_core.config.model import ModelSettings
from model_core.config.run import WindowSettings
from model_core.errors import SettingsError
from tests.nn.kit import SMALL, make_inputs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 12}, "d_model is 12; it must be at least 13"),
        ({"target_wave_indices": [0, 1, 2]}, "four different waves"),
        ({"kind": "transformer"}, "kind"),
        ({"combiner": {"kind": "petri"}}, "kind"),
        ({"encoding": {"kernel_sizes": []}}, "kernel_sizes"),
        ({"enhanced_pgat": {"influence_lags": [0]}}, "influence_lags"),
    ],
)
def test_settings_of_no_model_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSettings.model_validate(change)


def test_a_window_of_fifteen_days_is_refused() -> None:
    with pytest.raises(ValidationError, match="seq_len"):
        WindowSettings(seq_len=15, label_len=8)


def test_lags_longer_than_the_window_are_refused() -> None:
    change = {**SMALL.model_dump(), "kind": "enhanced_pgat", "enhanced_pgat": {"influence_lags": (23,)}}
    with pytest.raises(SettingsError, match="influence_lags"):
        build_model(ModelSettings.model_validate(change), make_inputs())
