"""A folder that may not be read is not taken for an empty one: nothing is made anew because nothing was seen."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.disk import entries, files_below
from pipelines.__main__ import main as pipelines
from tests.security.test_strays import RECORD

# root may go everywhere, unless it gives that up
AS_OTHERS = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.getuid() == 0 else []
COMMANDS = """
import sys
from pipelines.__main__ import main
for words in (["list"], ["show", "a"], ["compare", "a", "b"], ["open", "a"]):
    print(main(["runs", *words, "--runs", sys.argv[1]]))
"""
READERS = """
import sys
from pathlib import Path
from components.sending import send
from components.work import unfinished
from model_core.checkpoints.local import kept
from model_core.disk import entries, files_below
from model_core.errors import StoreError
from model_core.store.local import LocalStore
folder = Path(sys.argv[1])
for read in (
    lambda: entries(folder),
    lambda: files_below(folder),
    lambda: files_below(folder.parent),
    lambda: unfinished(folder),
    lambda: kept(folder),
    lambda: list(LocalStore(folder).keys()),
    lambda: list(LocalStore(folder.parent).keys()),
    lambda: send(folder.parent, "s3://bucket/place"),
):
    try:
        print("read", read())
    except (PermissionError, StoreError) as error:
        print(type(error).__name__)
"""


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "runs"
    (folder / "a").mkdir(parents=True)
    (folder / "a/run.json").write_text(json.dumps(RECORD | {"name": "a"}))
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def said(code: str, folder: Path) -> tuple[list[str], list[str]]:
    store = {"AWS_ACCESS_KEY_ID": "u", "AWS_SECRET_ACCESS_KEY": "p", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [*AS_OTHERS, sys.executable, "-c", code, str(folder)],
        capture_output=True, text=True, timeout=120, env=os.environ | store,
    )  # fmt: skip
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.slow
def test_commands_over_closed_runs_say_that_they_may_not_be_read(closed: Path) -> None:
    out, err = said(COMMANDS, closed)
    assert out == ["2"] * 4, err
    assert len(err) == 4
    assert all(
        line.startswith(f"error: {closed}") and "may not be used (Permission denied)" in line for line in err
    ), err


@pytest.mark.slow
def test_a_closed_run_among_others_is_named(closed: Path) -> None:
    closed.chmod(0o700)
    (closed / "b").mkdir(mode=0)
    out, err = said(
        "import sys; from pipelines.__main__ import main; main(['runs', 'list', '--runs', sys.argv[1]])",
        closed,
    )
    assert [line.split()[0] for line in out] == ["name", "a"]
    assert err == [
        f"{closed}/b/run.json may not be used (Permission denied); look at its permissions and its folders', or choose "
        "another one"
    ]


@pytest.mark.slow
def test_no_reader_takes_a_closed_folder_for_an_empty_one(closed: Path) -> None:
    out, err = said(READERS, closed)
    assert out == ["PermissionError"] * 5 + ["StoreError"] * 2 + ["PermissionError"], err


def test_what_is_not_there_has_nothing_in_it_and_a_file_is_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entries(tmp_path / "none") == files_below(tmp_path / "none") == []
    (tmp_path / "b/c").mkdir(parents=True)
    for name in ("b/c/d", "a"):
        (tmp_path / name).write_text("")
    assert [path.name for path in entries(tmp_path)] == ["a", "b"]
    assert files_below(tmp_path) == [tmp_path / "a", tmp_path / "b/c/d"]
    assert pipelines(["runs", "list", "--runs", str(tmp_path / "a")]) == 2
    assert f"{tmp_path / 'a'} is a file, not a folder of runs" in capsys.readouterr().err
