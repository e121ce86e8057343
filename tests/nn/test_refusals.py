"""A model that cannot work is refused when its settings are read or it is built, before anything is trained."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.train.__main__ import main
from model_core.build import build_model
from model_core.config.data import WindowSettings
from model_core.config.model import ModelSettings
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
        ({"encoding": {"kernel_sizes": [3, 4]}}, r"must be odd; got \[3, 4\]"),
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
    with pytest.raises(SettingsError) as refused:
        build_model(ModelSettings.model_validate(change), make_inputs())
    assert refused.value.keys == ("model.enhanced_pgat.influence_lags",)


UNWORKABLE = {
    "model.kind=transformer": "model.kind is 'transformer'; input should be 'celestial_enhanced_pgat' or",
    "model.combiner.kind=petri": "model.combiner.kind is 'petri'; input should be",
    "model.d_model=5": "model: d_model is 5; it must be at least 13",
    "model.num_input_waves=117": "model.num_input_waves is 117, but the dataset has 118 waves; set it to 118",
    "model.target_wave_indices=[0,1,2]": "target_wave_indices must name four different waves",
    "data.window.seq_len=15": "seq_len",
}


@pytest.mark.parametrize(("setting", "sentence"), UNWORKABLE.items(), ids=list(UNWORKABLE))
def test_the_training_command_refuses_in_one_sentence_and_writes_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--dataset", str(dataset), "--model", str(tmp_path / "model"), "--set", setting])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert sentence in line
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("preloaded")
def test_a_process_of_the_training_command_ends_with_code_2_and_no_traceback(
    dataset: Path, tmp_path: Path
) -> None:
    words = [
        "--dataset",
        str(dataset),
        "--model",
        str(tmp_path / "model"),
        "--set",
        "model.num_input_waves=117",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "components.train", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("error: model.num_input_waves is 117")
    assert not list(tmp_path.iterdir())
