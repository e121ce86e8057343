"""What a command says goes wherever it can: no traceback for want of a letter, of a reader, or of a stream."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_core.data.dataset import MarketDataset
from tests.faults.steps import TINY

pytestmark = pytest.mark.slow
RECORD = {
    "name": "a",
    "source": "Zürich …\U0001f319",
    "started_at": "2026-01-01T00:00:00+00:00",
    "status": "failed",
    "code_version": "1",
    "settings": {},
}
ASCII = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "the locale C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
COMMANDS = {
    "runs": ["pipelines", "runs", "list", "--runs"],
    "step": ["components.prepare_data", "--source", "sample://nasdaq", "--inspect", "--set", "data.name={ }"],
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a", "stray…"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(RECORD))
    return tmp_path


def words(name: str, runs: Path) -> list[str]:
    command = COMMANDS[name]
    return [sys.executable, "-m", *command, *([str(runs)] if command[-1] == "--runs" else [])]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("encoding", ASCII)
def test_what_an_encoding_lacks_is_an_escape(encoding: str, name: str, runs: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        words(name, runs), capture_output=True, timeout=120, env=environment | ASCII[encoding]
    )
    said = (done.stdout + done.stderr).decode("latin-1")
    assert "Traceback" not in said
    assert "Logging error" not in said
    assert done.returncode == (2 if name == "step" else 0), said
    if name == "runs":
        assert "Z\\xfcrich" in said
        assert "\\U0001f319" in said
        assert "stray\\u" in said


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("how", ["no reader", "no output", "neither"])
def test_what_nobody_reads_ends_no_command(how: str, name: str, runs: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    closing = {"no output": ">&-", "neither": ">&- 2>&-", "no reader": ""}[how]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closing}', "sh", *words(name, runs)],
        stdout=writer if how == "no reader" else subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writer)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    assert done.returncode == (2 if name == "step" else 0), done.stderr
    if how == "no output" and name == "runs":
        assert done.stderr.count(b"\n") == 1


ALSO = {"help": ["pipelines", "--help"], "version": ["pipelines", "--version"]}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("name", ["runs", *ALSO])
def test_output_that_could_not_be_written_is_one_sentence_and_no_success(name: str, runs: Path) -> None:
    command = [sys.executable, "-m", *ALSO[name]] if name in ALSO else words(name, runs)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    warnings, _, error = done.stderr.rpartition("error: ")
    assert "No space left on device" in error
    assert error.count("\n") == 1
    assert warnings.count("\n") == (name == "runs")  # of the stray folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_step_whose_log_could_not_be_written_does_its_work_and_says_so(tmp_path: Path) -> None:
    table = ["--source", "sample://synthetic", "--config", TINY]
    step = ["components.prepare_data", *table, "--dataset", str(tmp_path / "dataset")]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", *step], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert MarketDataset.open(tmp_path / "dataset")
