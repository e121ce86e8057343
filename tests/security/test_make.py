"""No value of a make variable is executed: neither make nor the shell finds a command in it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""
LOCKS = ("requirements/dev.lock", "requirements/installer.lock")
PAYLOADS = (
    'a"; touch executed; "',
    "$(shell touch executed)",
    "$(touch executed) ${HOME}",
    "`touch executed`",
    "a' && touch executed && '",
    "a|touch executed",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile beside an environment whose Python prints its arguments, one a line."""
    for name in (".venv/bin/python", "docker/step", "docker/build", "python"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
    for name in ("Makefile", "docker/steps", "components/steps.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in (*LOCKS, "pyproject.toml", ".venv/.ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in (*LOCKS, "pyproject.toml"):
        os.utime(tmp_path / name, (0, 0))  # older than .ready: nothing is to be installed
    return tmp_path


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in ``folder`` as a user would, whatever make runs these tests."""
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder,
        env=own | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def executed(folder: Path) -> bool:
    return any(path.name == "executed" for path in folder.rglob("*"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_source_and_a_settings_file_reach_the_program_letter_by_letter(
    checkout: Path, payload: str
) -> None:
    done = make(checkout, "run", f"SOURCE={payload}", f"CONFIG={payload}")
    assert done.stdout.splitlines() == ["-m", "pipelines", "run", "--config", payload, "--source", payload]
    assert not executed(checkout)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_variable_from_the_environment_is_text_as_well(checkout: Path, payload: str) -> None:
    done = make(checkout, "run", SOURCE=payload)
    assert done.stdout.splitlines()[-1] == payload
    assert not executed(checkout)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(
    ("target", "variable"),
    [
        ("submit", "KFP_HOST"),
        ("submit", "SOURCE"),
        ("compile", "CONFIG"),
        ("test", "WORKERS"),
        ("docker-step", "STEP"),
        ("images", "BASE_IMAGE"),
        ("step", "STEP"),
    ],
)
def test_no_variable_of_any_target_is_executed(
    checkout: Path, target: str, variable: str, payload: str
) -> None:
    make(checkout, target, "KFP_HOST=https://kubeflow.example", f"{variable}={payload}")
    assert not executed(checkout)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("variable", ["TORCH", "TORCH_INDEX", "PYTHON"])
def test_no_variable_of_the_set_up_is_executed(checkout: Path, variable: str, payload: str) -> None:
    (checkout / ".venv/.ready").unlink()
    make(checkout, "setup", f"{variable}={payload}")
    assert not executed(checkout)


def test_the_index_of_torch_reaches_the_set_up_as_a_variable_and_stands_in_no_argument(
    checkout: Path,
) -> None:
    """It may hold a password, and arguments can be read by every user of the machine."""
    (checkout / ".venv/.ready").unlink()
    program = checkout / ".venv/bin/python"
    program.write_text('#!/bin/sh\necho "${TORCH_INDEX-none} $*"\n', encoding="utf-8")
    index = "https://user:hush@torch.example/whl"
    said = [
        line
        for line in make(checkout, "setup", TORCH_INDEX=index).stdout.splitlines()
        if "install.py" in line
    ]
    assert said == [f"{index} requirements/install.py"]


def test_the_set_up_ends_by_saying_what_to_type_next(checkout: Path) -> None:
    for _ in range(2):
        assert make(checkout, "setup").stdout.splitlines()[-1].startswith("ready: make run ")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_arguments_are_split_into_words_and_never_executed(checkout: Path, payload: str) -> None:
    make(checkout, "run", f"ARGS={payload}")
    assert not executed(checkout)


def test_quotes_keep_a_documented_argument_together(checkout: Path) -> None:
    done = make(checkout, "run", """ARGS=--set "data.splits={kind: tail}" --set 'report.title=A  "b"' "" *""")
    words = done.stdout.splitlines()[7:]
    assert words == ["--set", "data.splits={kind: tail}", "--set", 'report.title=A  "b"', "", "*"]


def test_an_open_quote_is_one_sentence(checkout: Path) -> None:
    done = make(checkout, "runs", 'ARGS=show "NAME')
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == ("error: ARGS cannot be split into words; close every quote in it")


def test_without_arguments_the_runs_are_listed(checkout: Path) -> None:
    assert make(checkout, "runs").stdout.split() == ["-m", "pipelines", "runs", "list"]
    assert make(checkout, "runs", "ARGS=show NAME").stdout.split()[2:] == ["runs", "show", "NAME"]


def test_a_step_outside_the_list_is_refused(checkout: Path) -> None:
    done = make(checkout, "step", "STEP=../../evil")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a step; choose one of prepare-data train" in done.stderr
