"""An artifact is whole or not there at all."""

from pathlib import Path

import pytest

from model_core.artifacts import staged_folder
from model_core.errors import ArtifactError


def test_an_error_while_a_folder_is_written_leaves_nothing_not_even_its_parents(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staged_folder(tmp_path / "new" / "deep" / "model"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_error_keeps_the_artifact_and_the_folders_that_were_there_before(tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "manifest.json").touch()
    with pytest.raises(ZeroDivisionError), staged_folder(tmp_path / "mine" / "model"):
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["manifest.json", "mine", "model"]


def test_a_place_below_a_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ArtifactError, match="choose another folder"),
        staged_folder(tmp_path / "file" / "deep" / "model"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
