"""A prepared dataset: blind to the future, whole on disk, the same every time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.prepare_data import step
from model_core.artifacts import open_artifact, read_json, write_json, write_manifest
from model_core.config.data import SyntheticSettings
from model_core.data.dataset import MarketDataset
from model_core.data.describing.quality import out_of_train_range
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.scaling import Scaler
from model_core.errors import ArtifactError, SourceError
from model_core.sky.waves import column_of, waves_of
from tests.data.market import SETTINGS, WINDOW, noise_dataset, saved, table


def test_the_scaler_is_blind_to_validation_and_test() -> None:
    dataset = noise_dataset()
    waves = dataset.waves.copy()
    train_stop = dataset.splits.train.stop + WINDOW.pred_len
    waves[train_stop:] += 3.0
    scaler = Scaler.fit(waves, dataset.specs, slice(0, train_stop))
    np.testing.assert_array_equal(scaler.mean, dataset.scaler.mean)
    np.testing.assert_array_equal(scaler.std, dataset.scaler.std)


def test_angles_and_prices_are_not_scaled() -> None:
    dataset = noise_dataset()
    for position, wave in enumerate(dataset.specs):
        if wave.kind == "price" or wave.quantity.endswith(("sin", "cos")):
            assert (dataset.scaler.mean[position], dataset.scaler.std[position]) == (0.0, 1.0), wave.name


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = saved(table(), tmp_path)
    manifests = []
    for name in ("a", "b"):
        step.run(source=source, dataset=tmp_path / name, settings=SETTINGS)
        manifests.append(open_artifact(tmp_path / name, producer="prepare_data"))
    assert manifests[0].files == manifests[1].files
    assert set(manifests[0].files) == {
        "waves.parquet",
        "future.parquet",
        "splits.json",
        "scaler.json",
        "quality.json",
    }


def test_a_dataset_reads_back_as_it_was_written(tmp_path: Path) -> None:
    source = saved(table(), tmp_path)
    step.run(source=source, dataset=tmp_path / "dataset", settings=SETTINGS)
    written, read = prepare(source, SETTINGS), MarketDataset.open(tmp_path / "dataset")
    np.testing.assert_array_equal(read.waves, written.waves)
    np.testing.assert_array_equal(read.dates, written.dates)
    np.testing.assert_array_equal(read.future_waves, written.future_waves)
    assert (read.splits, read.window, read.quality) == (written.splits, written.window, written.quality)
    assert ModelInputs.from_dataset(read) == ModelInputs.from_dataset(written)


def test_a_refused_table_leaves_nothing_behind(tmp_path: Path) -> None:
    source = saved(table().drop(columns="Low"), tmp_path)
    with pytest.raises(SourceError) as refusal:
        step.run(source=source, dataset=tmp_path / "out" / "dataset", settings=SETTINGS)
    (problem,) = refusal.value.problems
    assert "Low" in problem.text
    assert not (tmp_path / "out").exists()


def test_a_changed_dataset_is_refused(tmp_path: Path) -> None:
    step.run(source=saved(table(), tmp_path), dataset=tmp_path / "dataset", settings=SETTINGS)
    quality = tmp_path / "dataset" / "quality.json"
    quality.write_text(quality.read_text() + " ")
    with pytest.raises(ArtifactError) as refusal:
        MarketDataset.open(tmp_path / "dataset")
    assert refusal.value.path == quality


def test_a_dataset_without_the_scale_of_its_walk_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """As versions before wrote it: complete and unchanged, and yet nothing that a model can be built on."""
    noise_dataset().write(tmp_path)
    scaler: Any = read_json(tmp_path / "scaler.json")
    del scaler["har_scale"]
    write_json(tmp_path / "scaler.json", scaler)
    write_manifest(tmp_path, producer="prepare_data", settings={})
    with pytest.raises(ArtifactError, match="har_scale: ") as refusal:
        MarketDataset.open(tmp_path)
    assert refusal.value.path == tmp_path / "scaler.json"
    assert "\n" not in str(refusal.value)


def test_model_inputs_survive_json() -> None:
    inputs = ModelInputs.from_dataset(noise_dataset())
    assert ModelInputs.model_validate_json(inputs.model_dump_json()) == inputs


def test_the_planted_effect_has_the_size_it_says_and_noise_has_none() -> None:
    """Regress daily returns on the planted wave: 40 bp a day is found, 0 is not."""
    for effect in (0.0, 40.0):
        synthetic = SyntheticSettings(rows=4000, effect_bp_per_day=effect)
        dataset = prepare("sample://synthetic", SETTINGS.model_copy(update={"synthetic": synthetic}))
        returns = np.diff(dataset.log_prices[:, 3])
        signal = dataset.waves[1:, column_of(dataset.specs, "Moon", "synodic_sin")]
        slope = float(signal @ returns / (signal @ signal)) * 1e4
        error = float(returns.std() / np.sqrt(signal @ signal)) * 1e4
        assert abs(slope - effect) < 4 * error


def test_waves_that_leave_the_train_range_are_listed() -> None:
    listed = {row.wave: row.share_outside for row in noise_dataset().quality.out_of_train_range}
    assert listed
    assert all(0.01 < share <= 1 for share in listed.values())


def test_a_drift_in_the_eighth_digit_is_no_departure_from_the_train_range() -> None:
    named = {wave.name: wave for wave in waves_of("ephemeris")}
    steady, leaving = named["dyn_North_node_speed"], named["dyn_Sun_lat"]
    train, test = np.array([[-0.05295374, 1.0], [-0.05295375, 2.0]]), np.array([[-0.05295373, 2.1]])
    listed = out_of_train_range(train, test, (steady, leaving))
    assert [row.wave for row in listed] == [leaving.name]
