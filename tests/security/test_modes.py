"""What a umask keeps to a user stays so, and nothing is written or read where others could have put a trap."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.entry_points import exit_on_user_error
from model_core.artifacts import staged_folder, write_json, write_manifest
from model_core.build import build_model
from model_core.checkpoints.files import save_checkpoint
from model_core.data.inputs import ModelInputs
from model_core.errors import SourceError, UserError
from model_core.results.run import RECORD
from model_core.store.local import LocalStore
from model_core.store.ownership import within_umask
from pipelines.held import held_run
from tests.security.test_strays import RECORD as RUN
from tests.training.prepared import MODEL
from tests.training.tiny import tiny_dataset


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_nothing_that_is_written_is_open_to_whom_the_umask_keeps_out(umask: int, tmp_path: Path) -> None:
    with staged_folder(tmp_path / "artifact") as folder:
        write_json(folder / "results.json", {})
        write_manifest(folder, producer="train", settings={})
    LocalStore(tmp_path / "store").write("a/key", b"1")
    LocalStore(tmp_path / "store").upload("a/file", folder.with_name("artifact") / "results.json")
    inputs = ModelInputs.from_dataset(tiny_dataset())
    save_checkpoint(
        tmp_path / "checkpoint",
        build_model(MODEL, inputs),
        settings=MODEL,
        inputs=inputs,
        info={"epoch": 1, "step": 0},
    )
    written = list(tmp_path.rglob("*"))
    assert len(written) > 8
    assert {
        path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in written if path.stat().st_mode & umask
    } == {}
    assert within_umask(0o777) == 0o777 & ~umask


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    """Private places of work do not stay private by accident: who shows runs to others finds them readable."""
    before = os.umask(0o022)
    try:
        with staged_folder(tmp_path / "artifact") as folder:
            write_json(folder / "results.json", {})
        LocalStore(tmp_path / "store").write("key", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "artifact").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "store/key").stat().st_mode) == 0o644


def test_a_link_in_the_place_of_a_runs_lock_empties_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("somebody's")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").symlink_to(kept)
    with pytest.raises(UserError, match="cannot write to"), held_run(tmp_path / "run"):
        pass
    assert kept.read_text() == "somebody's"


def test_a_pipe_in_the_place_of_a_runs_lock_keeps_no_list_of_runs_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "stray"
    folder.mkdir()
    (folder / RECORD).write_text(json.dumps(RUN | {"name": "stray", "status": "running"}))
    os.mkfifo(folder / ".lock")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "runs", "list", "--runs", str(tmp_path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "interrupted" in done.stdout


@pytest.mark.parametrize("above", [False, True])
def test_a_list_of_what_is_wrong_is_not_written_through_a_link_of_somebody_elses(
    above: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    error = SourceError("the table is refused", details=["row 1: what is wrong"])
    with pytest.raises(SystemExit), exit_on_user_error():
        raise error
    (listed,) = (tmp_path / "cache").rglob("*.txt")
    assert str(listed) in capsys.readouterr().err
    listed.unlink()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    listed.symlink_to(victim)
    (listed.parent.parent if above else listed.parent).chmod(0o777)
    with pytest.raises(SystemExit), exit_on_user_error():
        raise error
    assert "can be written by others (mode 777)" in capsys.readouterr().err
    assert victim.read_text() == "untouched"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "prepare_data", "runs"])
def test_a_folder_that_another_user_keeps_closed_is_one_sentence(command: str, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "a").mkdir(parents=True)
    words = {
        "train": ["components.train", "--dataset", str(closed), "--model", str(tmp_path / "model")],
        "prepare_data": [
            "components.prepare_data",
            "--source",
            "sample://synthetic",
            "--dataset",
            str(closed),
        ],
        "runs": ["pipelines", "runs", "show", "a", "--runs", str(closed)],
    }[command]
    # root may go everywhere, unless it gives that up
    as_others = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.getuid() == 0 else []
    closed.chmod(0)
    try:
        done = subprocess.run(
            [*as_others, sys.executable, "-m", *words], capture_output=True, text=True, timeout=120
        )
    finally:
        closed.chmod(0o700)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {closed}")
    assert "may not be used (Permission denied); look at its permissions" in done.stderr
    assert done.stderr.count("\n") == 1
