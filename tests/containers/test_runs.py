"""The steps at work in their images: as a stranger, with nothing writable, stopped, and in the pipeline."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess, Popen

import numpy as np
import pandas as pd
import pytest

from model_core.store.locate import open_store
from pipelines.store import running_server
from tests.containers.conftest import AS_A_STRANGER, ROOT, Engine

pytestmark = [pytest.mark.containers, pytest.mark.slow]
Step = Callable[..., CompletedProcess[str]]


def test_the_steps_run_one_after_another_as_a_stranger_with_nothing_writable(step: Step, runs: Path) -> None:
    commands = [
        ("prepare-data", "--source", "sample://synthetic", "--dataset", "runs/dataset"),
        ("train", "--dataset", "runs/dataset", "--model", "runs/model"),
        ("evaluate", "--dataset", "runs/dataset", "--model", "runs/model", "--evaluation", "runs/evaluation"),
        ("diagnose", "--dataset", "runs/dataset", "--model", "runs/model", "--findings", "runs/findings"),
        ("report", "--dataset", "runs/dataset", "--model", "runs/model", "--evaluation", "runs/evaluation",
         "--findings", "runs/findings", "--report", "runs/report.html", "--summary", "runs/summary.md",
         "--run-name", "tiny"),
    ]  # fmt: skip
    for command in commands:
        done = step(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "<html" in (runs / "report.html").read_text(encoding="utf-8")


def test_wrong_input_ends_with_one_sentence_and_exit_code_2(step: Step) -> None:
    done = step("prepare-data", "--source", "runs/none.csv", "--dataset", "runs/none")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def market(step: Step) -> str:
    """A prepared dataset, as the steps see it."""
    done = step("prepare-data", "--source", "sample://synthetic", "--dataset", "runs/market")
    assert done.returncode == 0, done.stderr
    return "runs/market"


def test_work_that_fails_ends_with_one_sentence_and_exit_code_1(step: Step, market: str) -> None:
    absurd = ("--set", "training.learning_rate=1e35", "--set", "training.max_nonfinite_losses=1")
    done = step("train", "--dataset", market, "--model", "runs/absurd", *absurd)
    assert done.returncode == 1
    assert "lower training.learning_rate" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stopped_training_leaves_a_checkpoint_and_goes_on_from_it(
    engine: Engine, step: Step, market: str, runs: Path
) -> None:
    train = ("--dataset", market, "--model", "runs/stopped", "--set", "training.train_epochs=5")
    name = f"pgat-test-{runs.name}"
    command = [
        engine.program,
        "run",
        *AS_A_STRANGER,
        f"--name={name}",
        f"--volume={runs}:/pgat/runs",
    ]
    command += ["pgat-train:local", "--config", "runs/tiny.yaml", *train]
    with Popen(command, stdout=PIPE, stderr=STDOUT, text=True) as training:
        assert training.stdout is not None
        said = []
        for line in training.stdout:
            said.append(line)
            if line.startswith("epoch 1:"):
                engine("kill", "--signal=TERM", name)
    assert training.returncode == 143, "".join(said)
    resumed = step("train", *train)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from epoch" in resumed.stdout


def test_make_docker_step_writes_to_the_runs_folder_and_to_a_store(
    engine: Engine, runs: Path, tmp_path: Path
) -> None:
    """The keys reach the step, and what it leaves in the folder belongs to who called it."""
    with running_server(tmp_path / "store", "market") as (server, _):
        (tmp_path / "runs").mkdir()
        keys = server.environment()
        given = {**keys, "ENGINE": engine.program, "RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
        for place in ("runs/dataset", "s3://market/dataset"):
            wanted = f"--set data.synthetic.rows=700 --source sample://synthetic --dataset {place}"
            done = subprocess.run(
                ["make", "--no-print-directory", "docker-step", "STEP=prepare-data", f"ARGS={wanted}"],
                cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        assert {path.stat().st_uid for path in (tmp_path / "runs").rglob("*")} == {os.getuid()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            stored = set(open_store("s3://market/dataset").keys())
    written = {
        path.relative_to(tmp_path / "runs/dataset").as_posix()
        for path in (tmp_path / "runs/dataset").rglob("*")
        if path.is_file()
    }
    assert stored == written


def pipeline(source: str, runs: Path, folder: Path) -> CompletedProcess[str]:
    """``pipelines run --runner docker`` with tiny settings."""
    command = [sys.executable, "-m", "pipelines", "run", "--runner", "docker", "--source", source]
    command += ["--config", str(runs / "tiny.yaml"), "--runs", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)


def test_the_whole_pipeline_runs_in_the_images_and_its_second_run_reuses_them(
    engine: Engine, runs: Path, tmp_path: Path
) -> None:
    first = pipeline("sample://synthetic", runs, tmp_path / "runs")
    assert first.returncode == 0, first.stdout + first.stderr
    assert list((tmp_path / "runs").rglob("report.html"))
    owners = {path.stat().st_uid for path in (tmp_path / "runs").rglob("*")}
    assert owners == {os.getuid()}
    second = pipeline("sample://synthetic", runs, tmp_path / "runs")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "reused" in second.stdout


def test_a_step_that_fails_in_its_container_fails_the_run_with_its_own_sentence(
    engine: Engine, runs: Path, tmp_path: Path
) -> None:
    days = pd.bdate_range("2015-01-01", periods=700)
    close = 100 + np.arange(700) / 7
    table = pd.DataFrame({"date": days, "Open": close, "High": close + 1, "Close": close})
    table.to_csv(tmp_path / "no-low.csv", index=False)
    done = pipeline(str(tmp_path / "no-low.csv"), runs, tmp_path / "runs")
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert re.search(r"Low", said)
    assert "prepare_data" in said
    assert "Traceback" not in said
