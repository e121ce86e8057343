"""A published 118-column table is imported by name, its prices whatever they are, and trains a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.prepare_data import __main__ as prepare_data
from components.train import __main__ as train
from model_core.artifacts import write_manifest
from model_core.config.load import load_settings
from model_core.data.dataset import PRODUCER, MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.layouts.log_prices import broken_candles
from model_core.data.prepare import prepare
from model_core.data.windows import WindowSet
from model_core.errors import ArtifactError, SettingsError, SourceError
from model_core.sky.waves import waves_of
from tests.data.market import SETTINGS, WINDOW, saved
from tests.data.published import (
    PRICES,
    PUBLISHED,
    published,
    returns_of_each_column,
    returns_on_the_previous_close,
)

NAMES = [wave.name for wave in waves_of("published")]


def warnings_of(dataset: MarketDataset) -> dict[str, int]:
    return {warning.code: warning.count for warning in dataset.quality.warnings}


def test_every_column_lands_under_its_own_name_whatever_the_order(tmp_path: Path) -> None:
    whole = published()
    shuffled = whole[list(np.random.default_rng(2).permutation(whole.columns))].rename(columns=str.upper)
    dataset = prepare(saved(shuffled.assign(Remark="x"), tmp_path), PUBLISHED)
    assert dataset.layout == "published"
    assert [wave.name for wave in dataset.specs] == NAMES
    np.testing.assert_allclose(dataset.waves, whole[NAMES].to_numpy(), rtol=1e-12, atol=1e-14)
    assert dataset.quality.prices.found == "log prices"
    assert warnings_of(dataset) == {}


def test_returns_on_the_previous_close_give_back_the_market_from_the_anchor(tmp_path: Path) -> None:
    settings = PUBLISHED.model_copy(update={"price_anchor": 250.0})
    dataset = prepare(saved(returns_on_the_previous_close(), tmp_path), settings)
    expected = published()[PRICES].to_numpy()[1:]
    shift = np.log(250.0) - expected[0, 3]
    np.testing.assert_allclose(dataset.log_prices, expected + shift, atol=1e-12)
    assert dataset.quality.prices.found == "log returns on the previous Close"
    assert warnings_of(dataset) == {"log_returns": 299}
    assert "summed up from a first Close of 250" in dataset.quality.warnings[0].message


def test_returns_of_each_column_give_back_every_close_and_valid_candles_in_train(tmp_path: Path) -> None:
    dataset = prepare(saved(returns_of_each_column(), tmp_path), PUBLISHED)
    expected = published()[PRICES].to_numpy()[1:]
    np.testing.assert_allclose(
        dataset.log_prices[:, 3] - np.log(100.0), expected[:, 3] - expected[0, 3], atol=1e-12
    )
    moves = np.diff(dataset.log_prices, axis=0)
    np.testing.assert_allclose(moves, np.diff(expected, axis=0), atol=1e-12)
    train_rows = dataset.splits.train.stop + WINDOW.pred_len
    assert not broken_candles(dataset.log_prices[:train_rows]).any()
    assert dataset.quality.prices.found == "log returns of each column"
    assert warnings_of(dataset)["log_returns"] == 299


@pytest.mark.parametrize("make", [returns_on_the_previous_close, returns_of_each_column])
def test_returns_of_later_rows_reach_no_earlier_price(make: object, tmp_path: Path) -> None:
    assert callable(make)
    whole: pd.DataFrame = make()
    later = whole.copy()
    first = prepare(saved(whole, tmp_path), PUBLISHED)
    row = first.splits.test.first
    later.loc[row + 1 :, PRICES] *= 0.3
    second = prepare(saved(later, tmp_path), PUBLISHED)
    np.testing.assert_array_equal(first.log_prices[: row + 1], second.log_prices[: row + 1])
    assert not np.array_equal(first.log_prices[row + 1 :], second.log_prices[row + 1 :])


def test_constant_natal_columns_and_columns_out_of_train_range_are_reported(tmp_path: Path) -> None:
    drift = published()
    drift["dyn_Sun_shadbala"] = np.linspace(300.0, 500.0, 300)
    quality = prepare(saved(drift, tmp_path), PUBLISHED).quality
    assert set(quality.constant_waves) == {w.name for w in waves_of("published") if "natal" in w.quantity}
    shares = {row.wave: row.share_outside for row in quality.out_of_train_range}
    assert shares["dyn_Sun_shadbala"] == 1.0


def test_pairs_that_are_no_angles_and_wrong_time_steps_are_counted(tmp_path: Path) -> None:
    odd = published().assign(dyn_Mars_sin=0.5, dyn_Mars_cos=0.1)
    odd.loc[[10, 20], "time_delta"] = 99.0
    dataset = prepare(saved(odd, tmp_path), PUBLISHED)
    assert warnings_of(dataset) == {"unit_circle": 1, "time_delta": 2}
    assert dataset.quality.warnings[1].examples == ("dyn_Mars",)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a sky column is missing": (
        {"drop": "dyn_Moon_lat"},
        "lacks dyn_Moon_lat; columns found: date, log_Open",
    ),
    "a value is missing": (
        {"put": ("dyn_Pluto_speed", None)},
        r"row 6 \(2010-01-11\): dyn_Pluto_speed is missing, not a number",
    ),
    "High below Close": (
        {"put": ("log_High", 4.5)},
        r"row 6 .*log_High 4\.5 or log_Low 4\.\d+ does not enclose log_Open 4\.\d+ and log_Close 4\.\d+",
    ),
    "plain prices": ({"exp": True}, "holds neither log prices .* nor log returns"),
    "only one column of returns": ({"diff": "log_Low"}, "log_Low: autocorrelation"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_is_not_as_published_is_refused(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    whole = published()
    match change:
        case {"drop": str(column)}:
            whole = whole.drop(columns=column)
        case {"put": (str(column), value)}:
            whole.loc[5, column] = np.nan if value is None else value
        case {"exp": True}:
            whole[PRICES] = np.exp(whole[PRICES])
        case {"diff": str(column)}:
            whole[column] = whole[column].diff().fillna(0.0)
    with pytest.raises(SourceError, match=message):
        prepare(saved(whole, tmp_path), PUBLISHED)


def test_a_market_table_is_refused_with_the_columns_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"lacks log_Open, .* columns found: Date, Open"):
        prepare("sample://nasdaq", PUBLISHED)


def test_a_column_map_of_another_layout_is_refused(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"columns": {"log_close": "c"}})
    with pytest.raises(
        SettingsError, match=r"data\.columns\.log_close is not a column .* did you mean Close\?"
    ):
        prepare(saved(published(), tmp_path), settings)


def test_there_is_no_window_after_a_table_whose_later_sky_is_unknown(tmp_path: Path) -> None:
    dataset = prepare(saved(published(), tmp_path), PUBLISHED)
    assert len(dataset.future_dates) == 0
    with pytest.raises(ArtifactError, match="layout published ends with its table"):
        WindowSet.after_the_table(dataset)


def test_a_dataset_and_a_checkpoint_of_an_earlier_version_call_the_layout_prepared_and_are_read(
    tmp_path: Path,
) -> None:
    dataset = prepare(saved(published(), tmp_path), PUBLISHED)
    folder = tmp_path / "dataset"
    folder.mkdir()
    dataset.write(folder)
    splits = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    (folder / "splits.json").write_text(json.dumps(splits | {"layout": "prepared"}), encoding="utf-8")
    write_manifest(folder, producer=PRODUCER, settings={})
    assert MarketDataset.open(folder).layout == "published"
    saved_inputs = ModelInputs.from_dataset(dataset).model_dump(mode="json") | {"layout": "prepared"}
    assert ModelInputs.model_validate(saved_inputs) == ModelInputs.from_dataset(dataset)


def test_the_layouts_earlier_name_is_understood_and_said(caplog: pytest.LogCaptureFixture) -> None:
    assert load_settings(None, ["data.layout=prepared"]).data.layout == "published"
    assert caplog.messages == ["data.layout: prepared is called published now, and means the same"]


@pytest.mark.slow
def test_a_published_table_trains_a_model_through_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the file to a checkpoint by the two commands; Chiron has no waves and is trained all the same."""
    source = saved(returns_on_the_previous_close(), tmp_path)
    data = ["layout=published", "window={seq_len: 16, label_len: 8, pred_len: 3}"]
    sets = [flag for setting in data for flag in ("--set", f"data.{setting}")]
    prepare_data.main(["--source", source, "--dataset", str(tmp_path / "dataset"), *sets])
    model = {"d_model": 26, "n_heads": 2, "e_layers": 1, "d_layers": 1, "d_ff": 16, "celestial_dim": 8}
    model |= {"celestial_fusion_layers": 1}
    training = {"train_epochs": 1, "train_window_stride": 16, "device": "cpu", "tensorboard": "false"}
    sets = [f"model.{name}={value}" for name, value in model.items()]
    sets += [f"training.{name}={value}" for name, value in training.items()]
    flags = [flag for setting in sets for flag in ("--set", setting)]
    train.main(["--dataset", str(tmp_path / "dataset"), "--model", str(tmp_path / "model"), *flags])
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(np.isfinite(value) for value in headline.values())
    settings = json.loads((tmp_path / "model" / "best" / "settings.json").read_text())
    assert "published" in json.dumps(settings)
