"""An artifact is whole or not there at all."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from model_core.artifacts import (
    intact_file,
    open_artifact,
    read_json,
    read_manifest,
    replace_json,
    staged_folder,
    write_json,
    write_manifest,
)
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


@pytest.fixture(name="artifact")
def _artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    with staged_folder(folder) as staged:
        (staged / "weights").write_bytes(bytes(range(64)))
        write_json(staged / "results.json", {"loss": 0.25})
        settings = {
            "training": {"rate": 1e-3, "kind": "warmup", "layers": [1, 2], "name": "größe", "none": None}
        }
        write_manifest(staged, producer="train", settings=settings, seed=2024)
    return folder


def test_whichever_bit_of_a_manifest_flips_is_noticed_or_says_the_same(artifact: Path) -> None:
    """Every bit of it, not a sample; what is accepted holds the same values, as ``1E-3`` for ``1e-3`` does."""
    path = artifact / "manifest.json"
    whole, manifest = path.read_bytes(), read_manifest(path, producer="train")
    # Written in place: emptying the file each time would take most of the test.
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(whole)):
            place, byte = bit // 8, whole[bit // 8]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), place)
            with suppress(ArtifactError):
                assert read_manifest(path, producer="train") == manifest
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert path.read_bytes() == whole


def test_a_manifest_may_be_spaced_anew(artifact: Path) -> None:
    path = artifact / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert open_artifact(artifact, producer="train").seed == 2024


def test_a_manifest_of_version_1_is_read_without_a_digest_and_one_of_version_2_is_not(artifact: Path) -> None:
    path = artifact / "manifest.json"
    content = read_json(path)
    del content["sha256"]
    write_json(path, content)
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        open_artifact(artifact, producer="train")
    write_json(path, content | {"schema_version": 1})
    assert open_artifact(artifact, producer="train").sha256 is None


def test_one_file_of_an_artifact_is_checked_alone(artifact: Path) -> None:
    (artifact / "weights").write_bytes(b"damaged")
    assert intact_file(artifact, "results.json", producer="train") == artifact / "results.json"
    with pytest.raises(ArtifactError, match=r"weights was changed .* run the train step again"):
        intact_file(artifact, "weights", producer="train")
    with pytest.raises(ArtifactError, match=r"names no scores\.json"):
        intact_file(artifact, "scores.json", producer="train")


def test_what_a_killed_writer_left_is_cleared_by_the_next_one_and_a_living_writers_folder_is_not(
    tmp_path: Path,
) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from model_core.artifacts import staged_folder\n"
        "with staged_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "d")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with staged_folder(tmp_path / "d-else"), staged_folder(tmp_path / "d") as first:
        assert not left.exists()
        with staged_folder(tmp_path / "d") as second:
            write_manifest(second, producer="train", settings={})
        assert first.exists()
        write_manifest(first, producer="train", settings={})
        (tmp_path / ".d-training").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d-training", "d", "d-else"]


def test_a_record_that_is_replaced_is_whole_or_the_old_one(tmp_path: Path) -> None:
    replace_json(tmp_path / "run.json", {"status": "running"})
    with pytest.raises(ValueError, match="Out of range"):
        replace_json(tmp_path / "run.json", {"seconds": float("nan")})
    assert read_json(tmp_path / "run.json") == {"status": "running"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
