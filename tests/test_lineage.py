"""What was made from what is compared where the folders are at hand."""

import logging
from pathlib import Path

import pytest

from model_core.artifacts import open_artifact, staged_folder, write_manifest
from model_core.errors import ArtifactError
from model_core.lineage import refuse_other_model, say_if_other_dataset


def made(folder: Path, producer: str, **inputs: Path) -> Path:
    with staged_folder(folder) as staged:
        write_manifest(staged, producer=producer, settings={"folder": folder.name}, inputs=inputs)
    return folder


def test_scores_of_another_model_are_refused_and_those_of_this_one_are_not(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "train"), made(tmp_path / "two", "train")
    scores = open_artifact(made(tmp_path / "scores", "evaluate", model=one), producer="evaluate")
    refuse_other_model(scores, one)
    with pytest.raises(ArtifactError, match=r"another model than .*two; run the evaluate step again"):
        refuse_other_model(scores, two)


def test_a_model_that_meets_another_dataset_than_its_own_is_spoken_of_and_not_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="pgat.lineage")
    own, newer = made(tmp_path / "own", "prepare_data"), made(tmp_path / "newer", "prepare_data")
    model = open_artifact(made(tmp_path / "model", "train", dataset=own), producer="train")
    say_if_other_dataset(model, own)
    assert caplog.messages == []
    say_if_other_dataset(model, newer)
    (said,) = caplog.messages
    assert str(newer) in said
