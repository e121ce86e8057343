"""An artifact is whole or not there at all."""

from pathlib import Path

import pytest

from model_core.artifacts import staged_folder
from model_core.errors import ArtifactError
from model_core.versions import build_version


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


@pytest.mark.parametrize(
    ("metadata", "module", "known"),
    [
        ("2.13.0", "2.13.0+cu130", "2.13.0+cu130"),
        ("2.13.0+cpu", "2.13.0+cpu", "2.13.0+cpu"),
        ("2.13.0", "2.13.0", "2.13.0"),
        ("2.13.0", None, "2.13.0"),
    ],
)
def test_the_version_of_torch_names_its_build_where_only_its_module_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, module: str | None, known: str
) -> None:
    (tmp_path / f"torch-{metadata}.dist-info").mkdir()
    (tmp_path / f"torch-{metadata}.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torch\nVersion: {metadata}\n"
    )
    if module is not None:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch" / "version.py").write_text(
            f"debug = False\n__version__ = '{module}'\ncuda = None\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    assert build_version("torch") == known
