"""The command: processes, cuts and refusals."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.search.grid import CENTRE, Candidate
from benchmarks.search.workers import RUNS, Search, Task, _records, read_runs
from benchmarks.settings_search import main
from model_core.errors import TrainingError
from tests.search.kit import ROOT, TINY, write_grid, write_tiny_origins

ABSENT = (
    "kfp",
    "skyfield",
    "skyfield_data",
    "jplephem",
    "arch",
    "minio",
    "statsmodels",
    "docker",
    "matplotlib",
)
"""Packages that training elsewhere must do without."""


def command(*words: object, absent: Path) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, without the packages that a machine with a GPU may lack."""
    absent.mkdir(exist_ok=True)
    for name in ABSENT:
        (absent / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(absent), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, "-W", "error", "benchmarks/settings_search.py", *map(str, words)]
    return subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_cut_and_needs_few_packages(tmp_path: Path) -> None:
    data, out = write_tiny_origins(tmp_path / "data"), tmp_path / "out"
    words = ("run", data, out, "--grid", write_grid(tmp_path), "--jobs", 2, "--device", "cpu")
    first = command(*words, absent=tmp_path / "absent")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert (told["runs"], told["of"]) == (4, 4)
    assert {(run["candidate"], run["origin"]) for run in read_runs(out)} == {
        (name, origin) for name in (CENTRE, "crps") for origin in (0, 1)
    }

    lines = (out / RUNS).read_text(encoding="utf-8").splitlines(keepends=True)
    (out / RUNS).write_text("".join(lines[:3]) + lines[3][:50], encoding="utf-8")
    again = command(*words, "--jobs", 1, absent=tmp_path / "absent")
    assert again.returncode == 0, again.stderr
    after = (out / RUNS).read_text(encoding="utf-8").splitlines(keepends=True)
    assert after[:3] == lines[:3]
    # The same run once more, but for how long it took.
    assert json.loads(after[3])["epochs"] == json.loads(lines[3])["epochs"]

    table = command("table", out, absent=tmp_path / "absent")
    assert table.returncode == 0, table.stderr
    assert table.stdout.count('"rank"') == 2
    assert "2 candidates, 4 runs; 0 of rounds" in table.stdout


def test_a_process_that_fails_ends_the_search(tmp_path: Path) -> None:
    data = write_tiny_origins(tmp_path / "data")
    task = Task(0, "nowhere", 0, 1)
    plan = Search(data, [Candidate(CENTRE, {}, TINY)], [task], "cpu", time.monotonic() + 300, 1)
    with pytest.raises(TrainingError, match="ended with code 1"):
        list(_records(plan, 1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"candidates": {"a": {"data.window": 3}}}, "candidate a: 'data.window' cannot be searched here"),
        ({"candidates": {"a": {"training.seed": 3}}}, "candidate a: 'training.seed' cannot be searched here; use"),
        ({"candidates": {"a": {"model.dropuot": 0.1}}}, "candidate a: model.dropuot is not a setting; did you mean"),
        ({"candidates": {CENTRE: {}}}, "candidate centre is there of itself"),
        ({"seeds": []}, "grid file "),
        ({"sedes": [1]}, "sedes is not a setting; did you mean seeds?"),
        ({"centre": {"model.graph.use_aspects": False, "model.num_input_waves": 7}}, "candidate centre: model.num_"),
    ],
    ids=["data", "seed", "misspelt", "centre", "no seeds", "misspelt key", "misfit"],
)  # fmt: skip
def test_a_grid_that_cannot_be_searched_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    data, grid = write_tiny_origins(tmp_path / "data"), write_grid(tmp_path, **changes)
    with pytest.raises(SystemExit) as end:
        main(["run", str(data), str(tmp_path / "out"), "--grid", str(grid), "--device", "cpu"])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {sentence}")


def test_runs_of_other_settings_are_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, grid = write_tiny_origins(tmp_path / "data"), write_grid(tmp_path)
    (tmp_path / RUNS).write_text('{"candidate": "crps", "digest": "another"}\n', encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["run", str(data), str(tmp_path), "--grid", str(grid), "--device", "cpu"])
    assert end.value.code == 2
    assert "holds runs of candidate crps with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "NOWHERE", "OUT"], "NOWHERE holds no origins"),
        (["table", "NOWHERE"], "NOWHERE/runs.jsonl does not exist"),
        (["prepare", "OUT", "--source", "sample://nasdaq", "--source", "nasdaq.csv"], "two sources have one name"),
        (["prepare", "OUT", "--origins", "9", "--source", "sample://nasdaq"], "sample://nasdaq has 4024 rows before"),
    ],
    ids=["data", "runs", "names", "too many origins"],
)  # fmt: skip
def test_wrong_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {sentence}")
