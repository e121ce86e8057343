"""Whatever bytes a reader is given, it reads them or refuses them in one short sentence: checkpoints."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, position, save_checkpoint
from model_core.checkpoints.files import SETTINGS as CHECKPOINT_SETTINGS
from model_core.checkpoints.loading import load_model
from model_core.data.inputs import ModelInputs
from tests.security.fuzzing import (
    damaged,
    fuzzed,
    read_or_refused,
    reseal,
    seeds,
    trees,
    written,
)
from tests.training.prepared import MODEL
from tests.training.tiny import tiny_dataset

SAVED = {
    "model": MODEL.model_dump(mode="json"),
    "inputs": ModelInputs.from_dataset(tiny_dataset()).model_dump(mode="json"),
    "info": {"epoch": 1, "step": 0},
    "versions": {"python": "3.11.0"},
}


@pytest.fixture(scope="module")
def checkpoint(place: Path) -> Path:
    from model_core.build import build_model

    folder = place / "checkpoint"
    inputs = ModelInputs.from_dataset(tiny_dataset())
    save_checkpoint(
        folder,
        build_model(MODEL, inputs),
        settings=MODEL,
        inputs=inputs,
        info={"epoch": 1, "step": 0},
    )
    return folder


@pytest.fixture(scope="module")
def kept(checkpoint: Path) -> Path:
    """A copy that stays whole."""
    return Path(shutil.copytree(checkpoint, checkpoint.with_name("kept")))


def restore(checkpoint: Path, kept: Path) -> None:
    shutil.copytree(kept, checkpoint, dirs_exist_ok=True)


@fuzzed(100)
@given(data=st.data(), seed=seeds, structural=st.booleans())
def test_any_seal_of_a_checkpoint_is_read_or_refused(
    checkpoint: Path, kept: Path, data: st.DataObject, seed: int, structural: bool
) -> None:
    restore(checkpoint, kept)
    if structural:
        written(
            checkpoint / CHECKPOINT_MANIFEST,
            data.draw(trees(json.loads((kept / CHECKPOINT_MANIFEST).read_bytes()))),
        )
    else:
        (checkpoint / CHECKPOINT_MANIFEST).write_bytes(
            damaged((kept / CHECKPOINT_MANIFEST).read_bytes(), seed)
        )
    read_or_refused(lambda: position(checkpoint))


@fuzzed(30)
@given(changed_settings=trees(SAVED))
def test_any_settings_in_a_checkpoint_are_read_or_refused(
    checkpoint: Path, kept: Path, changed_settings: Any
) -> None:
    restore(checkpoint, kept)
    written(checkpoint / CHECKPOINT_SETTINGS, changed_settings)
    reseal(checkpoint)
    read_or_refused(lambda: load_model(checkpoint))


@fuzzed(30)
@given(data=st.data(), seed=seeds, structural=st.booleans())
def test_any_header_of_the_weights_is_read_or_refused(
    checkpoint: Path, kept: Path, data: st.DataObject, seed: int, structural: bool
) -> None:
    restore(checkpoint, kept)
    weights = (kept / WEIGHTS).read_bytes()
    end = 8 + struct.unpack("<Q", weights[:8])[0]
    header, tensors = weights[8:end], weights[end:]
    if structural:
        header = json.dumps(data.draw(trees(json.loads(header)))).encode()
        content = struct.pack("<Q", len(header)) + header + tensors
    else:
        content = damaged(weights[:end], seed) + tensors
    (checkpoint / WEIGHTS).write_bytes(content)
    reseal(checkpoint)
    read_or_refused(lambda: load_model(checkpoint))
