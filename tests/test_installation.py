"""``make setup``: who installs what, and what it says. Stand-ins for pip and uv note how they were called."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from requirements.install import USED

ROOT = Path(__file__).parent.parent
STAND_IN = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
told = {name: text for name, text in os.environ.items() if name.startswith(("UV_", "PIP_")) or name == "SSL_CERT_FILE"}
with open(here.parent / "calls.jsonl", "a") as log:
    log.write(json.dumps([here.name, sys.argv[1:], told]) + "\\n")
if sys.argv[1:] == ["config", "list"]:
    print((here.parent / "settings").read_text())
for word, message in json.loads((here.parent / "failures").read_text()).items():
    if any(word in each for each in sys.argv[1:]):
        print(message, file=sys.stderr)
        sys.exit(1)
"""
IMPORTED = " ".join(USED).split()
INDEX = "https://user:secret@index.example/simple"


def install(
    folder: Path,
    settings: str = "",
    failures: dict[str, str] | None = None,
    imported: Sequence[str] = IMPORTED,
    **variables: str,
) -> tuple[subprocess.CompletedProcess[str], list[tuple[str, list[str], dict[str, str]]]]:
    """Run ``requirements/install.py``; what it said, and the calls: program, words, environment."""
    for program in ("pip", "uv"):
        (folder / program).mkdir(parents=True)
        (folder / program / "__init__.py").touch()
        (folder / program / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    # What was installed is imported at the end: here packages that hold nothing, which saves seconds a test.
    repository = folder / "repository"
    shutil.copytree(ROOT / "requirements", repository / "requirements")
    for module in imported:
        package = repository
        for part in module.split("."):
            package /= part
            package.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
    (folder / "settings").write_text(settings, encoding="utf-8")
    (folder / "failures").write_text(json.dumps(failures or {}), encoding="utf-8")
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("UV_", "PIP_", "SSL_"))
    }
    environment |= {"PYTHONPATH": str(folder), "TORCH": "torch==2.13.0", **variables}
    done = subprocess.run(
        [sys.executable, str(repository / "requirements/install.py")],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    return done, [tuple(json.loads(line)) for line in lines]


def names_the_lock(words: list[str]) -> bool:
    return any(word.endswith("requirements/dev.lock") for word in words)


def test_one_line_tells_what_is_installed_and_uv_checks_the_hashes_of_the_lock(tmp_path: Path) -> None:
    done, calls = install(tmp_path / "with a space")
    assert done.stdout.splitlines() == ["installing torch==2.13.0 and requirements/dev.lock"]
    assert (done.returncode, done.stderr) == (0, "")
    (by,) = [(program, words) for program, words, _ in calls if names_the_lock(words)]
    assert by[0] == "uv"
    assert "--require-hashes" in by[1]


def test_uv_is_told_the_places_that_pip_knows_and_never_on_its_command_line(tmp_path: Path) -> None:
    settings = (
        f"global.index-url='https://global.example/simple'\ninstall.index-url='{INDEX}'\n"
        "global.extra-index-url='file:///a file:///b'\n:env:.find-links='/wheels\\n/more'\n"
        "global.cert='/certificates'\nglobal.proxy='http://proxy.example'\nfreeze.timeout='10'"
    )
    _, calls = install(tmp_path, settings, UV_INDEX="file:///mine")
    (told,) = [told for program, words, told in calls if program == "uv" and "--require-hashes" in words]
    assert told == {
        "UV_DEFAULT_INDEX": INDEX,
        "UV_INDEX": "file:///mine",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/certificates",
    }
    assert "secret" not in str([words for _, words, _ in calls])


@pytest.mark.parametrize(
    ("settings", "variables", "program"),
    [
        ("", {}, "uv"),
        ("global.timeout='100'", {}, "uv"),
        ("global.find-links='/wheels'", {}, "pip"),
        (":env:.index-url='https://mirror.example/simple'", {}, "pip"),
        ("", {"TORCH_INDEX": INDEX}, "pip"),
    ],
)
def test_uv_chooses_the_build_of_torch_only_where_nobody_named_a_place(
    tmp_path: Path, settings: str, variables: dict[str, str], program: str
) -> None:
    _, calls = install(tmp_path, settings, None, IMPORTED, **variables)
    ((by, words, told),) = [call for call in calls if "torch==2.13.0" in call[1]]
    assert by == program
    assert ("--torch-backend=auto" in words) == (program == "uv")
    assert told.get("PIP_INDEX_URL") == variables.get("TORCH_INDEX")
    assert "secret" not in str([words for _, words, _ in calls])


def test_without_uv_pip_installs_everything_and_one_line_says_so(tmp_path: Path) -> None:
    done, calls = install(tmp_path, failures={"installer.lock": "ERROR: no matching file for uv"})
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == (
        "uv cannot be had (ERROR: no matching file for uv); pip installs everything, which takes longer"
    )
    assert {program for program, _, _ in calls} == {"pip"}
    assert any("--require-hashes" in words and names_the_lock(words) for _, words, _ in calls)


def test_a_python_without_torch_is_told_in_one_line(tmp_path: Path) -> None:
    message = "ERROR: Could not find a version\nERROR: No matching distribution found for torch==2.13.0"
    done, _ = install(tmp_path, failures={"torch==2.13.0": message}, TORCH_INDEX=INDEX)
    version = ".".join(map(str, sys.version_info[:2]))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: there is no torch==2.13.0 for Python {version} in the index that TORCH_INDEX names; choose another "
        "Python (rm -r .venv; make setup PYTHON=python3.11), or another index with TORCH_INDEX=<URL>\n"
    )


def test_a_file_with_another_hash_stops_the_installation_with_what_was_said(tmp_path: Path) -> None:
    done, calls = install(tmp_path, failures={"dev.lock": "hash mismatch for numpy"})
    assert done.returncode == 1
    assert done.stderr == "error: hash mismatch for numpy\n"
    assert not any("--editable" in words for _, words, _ in calls)


def test_what_was_installed_and_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    """Each of them is there; were one of them renamed, the first import of a command would be slow again."""
    assert [name for name in IMPORTED if importlib.util.find_spec(name) is None] == []
    done, _ = install(tmp_path, imported=[name for name in IMPORTED if name != "torch.utils.tensorboard"])
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: what was installed cannot be imported: ModuleNotFoundError: No module named 'torch.utils'\n"
    )
