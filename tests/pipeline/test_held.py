"""One process at a time works on a run, and a record never claims more than is true."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_core.artifacts import replace_json
from model_core.config.run import Settings
from model_core.errors import PipelineError, UserError
from pipelines.held import held_run, is_held
from pipelines.review.listing import list_runs, show_run
from pipelines.runners.process import RunProgress
from pipelines.state import RunState

RECORD = {
    "schema_version": 1,
    "name": "x",
    "source": "sample://nasdaq",
    "started_at": "2026-01-01T00:00:00+00:00",
    "status": "running",
    "running_step": "train",
    "code_version": "0",
    "settings": {},
}


def test_a_second_process_is_told_which_one_holds_the_run_and_what_to_do(tmp_path: Path) -> None:
    refused = rf"the run x is going on in process {os.getpid()} since 20\S+; wait .* another --name"
    with held_run(tmp_path / "x"), pytest.raises(UserError, match=refused), held_run(tmp_path / "x"):
        pass
    with held_run(tmp_path / "x"):
        assert is_held(tmp_path / "x")
    assert not is_held(tmp_path / "x")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"{", b"\xff\xfe", b'{"pid": "x", "since": 7}', b'{"pid": 1}']
)
def test_a_damaged_lock_file_still_locks(tmp_path: Path, content: bytes) -> None:
    with held_run(tmp_path / "x"):
        (tmp_path / "x" / ".lock").write_bytes(content)
        with pytest.raises(UserError, match="the run x is going on; wait"), held_run(tmp_path / "x"):
            pass
    with held_run(tmp_path / "x"):
        pass


def test_a_run_that_removes_its_folder_leaves_the_name_free(tmp_path: Path) -> None:
    with held_run(tmp_path / "x"):
        (tmp_path / "x" / ".lock").unlink()
        (tmp_path / "x").rmdir()
        with held_run(tmp_path / "x"):
            assert is_held(tmp_path / "x")


def test_a_killed_process_frees_the_run_and_its_record_reads_as_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    replace_json(folder / "run.json", RECORD)
    with held_run(folder):
        assert " running " in list_runs(tmp_path)
        assert "train …" in show_run(tmp_path, "x")
    program = (
        "import os, pathlib, signal, sys\n"
        "from pipelines.held import held_run\n"
        "with held_run(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert " interrupted " in list_runs(tmp_path)
    shown = show_run(tmp_path, "x")
    assert shown.startswith("x: interrupted")
    assert "train: its process was killed" in shown


def test_a_folder_that_cannot_be_made_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --runs"), held_run(tmp_path / "file" / "x"):
        pass


def test_a_record_that_cannot_be_written_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path,
) -> None:
    progress = RunProgress(sys.stdout, tmp_path, 5)
    state = RunState(tmp_path, Settings(), "sample://nasdaq", progress)
    (tmp_path / "run.json" / "in the way").mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"cannot write .*run\.json .* give the same command again"):
        state.going_on()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "settings.yaml"]
