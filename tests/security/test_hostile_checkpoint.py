"""A checkpoint of a stranger's costs no more memory than its files have bytes, and no code of it runs."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given

from model_core.artifacts import write_json
from model_core.build import build_model
from model_core.checkpoints import loading
from model_core.checkpoints.files import SETTINGS, TRAINING, load_training, save_checkpoint
from model_core.checkpoints.loading import load_model
from model_core.config.load import load_settings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError
from tests.security.fuzzing import damaged, fuzzed, read_or_refused, reseal, seeds
from tests.training.prepared import MODEL
from tests.training.tiny import tiny_dataset

ABLATIONS = sorted((Path(__file__).parents[2] / "configs/ablations").glob("*.yaml"))
INPUTS = ModelInputs.from_dataset(tiny_dataset())
HUGE = {
    "a width of a terabyte": {"d_model": 13 * 40_000},
    "a width beyond any number of bytes": {"d_model": 2**62},
    "a billion layers": {"e_layers": 10**9},
    "a billion fusion layers": {"celestial_fusion_layers": 10**9},
    "heads beyond any number of bytes": {"n_heads": 2**62},
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    model = build_model(MODEL, INPUTS)
    state = {"optimizer": {"step": torch.arange(3)}, "progress": {"epoch": 1}}
    save_checkpoint(
        folder, model, settings=MODEL, inputs=INPUTS, info={"epoch": 1, "step": 0}, training=state
    )
    return folder


@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE.keys())
def test_settings_that_ask_for_more_than_the_weights_hold_are_refused_before_anything_is_built(
    checkpoint: Path, changes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = json.loads((checkpoint / SETTINGS).read_bytes())
    write_json(checkpoint / SETTINGS, saved | {"model": saved["model"] | changes})
    reseal(checkpoint)

    def built(*_: object) -> None:
        raise AssertionError("a model was built")

    monkeypatch.setattr(loading, "build_model", built)
    with pytest.raises(CheckpointError, match="train again"):
        load_model(checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_every_model_is_measured_without_being_built(path: Path, tmp_path: Path) -> None:
    """What is compared with the weights is what building makes; nothing refuses a checkpoint of our own."""
    settings = load_settings(path).model
    save_checkpoint(
        tmp_path / "c",
        build_model(settings, INPUTS),
        settings=settings,
        inputs=INPUTS,
        info={"epoch": 1, "step": 0},
    )
    assert load_model(tmp_path / "c").settings == settings


def rewritten(archive: Path, compression: int, **changed: bytes) -> None:
    """The same archive, compressed in another way, or with other content."""
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w", compression) as new:
        for name, content in entries.items():
            new.writestr(name, changed.get(name.rpartition("/")[2].removesuffix(".pkl"), content))


def test_a_state_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(checkpoint: Path) -> None:
    torch.save({"optimizer": torch.zeros(10_000_000)}, checkpoint / TRAINING)
    rewritten(checkpoint / TRAINING, zipfile.ZIP_DEFLATED)
    assert (checkpoint / TRAINING).stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="unpacks to more than its size"):
        load_training(checkpoint)


def test_the_same_state_without_compression_is_read(checkpoint: Path) -> None:
    rewritten(checkpoint / TRAINING, zipfile.ZIP_STORED)
    assert load_training(checkpoint)["progress"] == {"epoch": 1}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("plain", [True, False], ids=["a bare pickle", "within torch's archive"])
def test_no_code_of_a_state_runs(checkpoint: Path, tmp_path: Path, plain: bool) -> None:
    trap = pickle.dumps({"progress": Trap(tmp_path / "ran")})
    if plain:
        (checkpoint / TRAINING).write_bytes(trap)
    else:
        rewritten(checkpoint / TRAINING, zipfile.ZIP_STORED, data=trap)
    with pytest.raises(CheckpointError):
        load_training(checkpoint)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "value", [b"", 5, [1], None, {"a": bytearray(3)}, {"progress": {"epoch": "x"}}], ids=repr
)
def test_a_state_of_another_kind_is_read_or_refused(checkpoint: Path, value: Any) -> None:
    torch.save(value, checkpoint / TRAINING)
    read_or_refused(lambda: load_training(checkpoint))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@fuzzed(100)
@given(seed=seeds)
def test_any_damaged_pickle_of_a_state_is_read_or_refused(place: Path, seed: int) -> None:
    whole, torn = place / "whole", place / TRAINING
    if not whole.exists():
        state = {
            "optimizer": {"state": {0: torch.arange(3)}},
            "random": [{"torch": torch.zeros(4)}, (1, "a", None)],
        }
        torch.save(state, whole)
    shutil.copyfile(whole, torn)
    with zipfile.ZipFile(whole) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith("data.pkl")]
        content = opened.read(name)
    rewritten(torn, zipfile.ZIP_STORED, data=damaged(content, seed))
    read_or_refused(lambda: load_training(place))
