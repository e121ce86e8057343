"""A step in a container cannot write the table that it was given to read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ENGINE = """#!/bin/sh
case $1 in
  image) echo sha256:0 ;;
  run) printf '%s\\n' "$@" > "$RECORD"; exit 1 ;;
esac
"""


@pytest.mark.slow
def test_the_table_is_mounted_read_only_and_the_folder_of_runs_is_not(tmp_path: Path) -> None:
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
    mounted = [
        line for line in record.read_text(encoding="utf-8").splitlines() if line.startswith("--volume=")
    ]
    assert mounted == [
        *(f"--volume={folder}:{folder}" for folder in (tmp_path / "runs", tmp_path / "checkpoints")),
        f"--volume={table}:{table}:ro",
    ]
