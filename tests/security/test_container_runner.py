"""A step in a container cannot write the table that it was given to read, nor outlive its run for long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ENGINE = """#!/bin/sh
case $1 in
  image) echo sha256:0 ;;
  ps) printf '%s\\n' "$@" > "$RECORD.listed"; echo left-1; echo left-2 ;;
  rm) printf '%s\\n' "$@" > "$RECORD.removed" ;;
  run) printf '%s\\n' "$@" > "$RECORD"; exit 1 ;;
esac
"""


def run(tmp_path: Path) -> list[str]:
    """The arguments with which a run, whose engine is a script, starts its first container."""
    engine, table, record = tmp_path / "podman", tmp_path / "table.csv", tmp_path / "record"
    engine.write_text(ENGINE, encoding="utf-8")
    engine.chmod(0o755)
    table.write_text("date,Open,High,Low,Close\n2020-01-01,1,1,1,1\n", encoding="utf-8")
    command = [sys.executable, "-m", "pipelines", "run", "--runner", "docker", "--source", str(table)]
    command += ["--runs", str(tmp_path / "runs"), "--checkpoint-uri", str(tmp_path / "checkpoints")]
    given = {"ENGINE": str(engine), "RECORD": str(record)}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return record.read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
def test_the_table_is_mounted_read_only_and_the_folder_of_runs_is_not(tmp_path: Path) -> None:
    mounted = [line for line in run(tmp_path) if line.startswith("--volume=")]
    table = tmp_path / "table.csv"
    assert mounted == [
        *(f"--volume={folder}:{folder}" for folder in (tmp_path / "runs", tmp_path / "checkpoints")),
        f"--volume={table}:{table}:ro",
    ]


@pytest.mark.slow
def test_containers_of_a_killed_attempt_are_found_by_their_label_and_removed(tmp_path: Path) -> None:
    (label,) = [line.removeprefix("--label=") for line in run(tmp_path) if line.startswith("--label=")]
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")]
    assert label == f"pgat.run={folder}"
    listed, removed = ((tmp_path / f"record.{name}").read_text().split() for name in ("listed", "removed"))
    assert listed == ["ps", "--all", "--quiet", f"--filter=label={label}"]
    assert removed == ["rm", "--force", "left-1", "left-2"]
