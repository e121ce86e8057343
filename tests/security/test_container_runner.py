"""A step in a container cannot write the table that it was given to read, nor outlive its run for long."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_core.config.run import Settings
from model_core.errors import UserError
from pipelines.resources import Cluster
from pipelines.runners.containers import Containers
from pipelines.runners.local import LocalRun, run_locally
from tests.data.market import table
from tests.security.hostile_s3 import HostileS3, serving

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


@pytest.mark.parametrize("place", ["table", "runs", "checkpoints"])
def test_no_name_becomes_another_place_in_the_container(place: str, tmp_path: Path) -> None:
    """``data:/opt/pgat/app`` would put its owner's files in the place of the program."""
    folder = tmp_path / "data:" / "opt"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text(table(300).to_csv(index=False))
    engine = tmp_path / "podman"
    engine.write_text(ENGINE, encoding="utf-8")
    engine.chmod(0o755)
    given: dict[str, Any] = {"source": "sample://synthetic", "runs": tmp_path / "runs", "name": "a"}
    match place:
        case "table":
            given["source"] = str(folder / "table.csv")
        case "runs":
            given["runs"] = folder
        case _:
            given["checkpoint_uri"] = str(folder / "new")
    containers = Containers(str(engine), {}, "1")
    with pytest.raises(UserError, match="contains a colon, which a path given to a container must not"):
        run_locally(LocalRun(Settings(), containers=containers, **given))
    assert {path.name for path in tmp_path.iterdir()} == {"data:", "podman"}


@pytest.mark.parametrize(
    ("script", "step"), [("step", "train evaluate"), ("step", "../x"), ("build", "../../x")]
)
def test_a_script_takes_no_other_word_for_a_step(script: str, step: str, tmp_path: Path) -> None:
    (tmp_path / "podman").write_text(ENGINE, encoding="utf-8")
    (tmp_path / "podman").chmod(0o755)
    given = {
        "ENGINE": str(tmp_path / "podman"),
        "RUNS": str(tmp_path / "runs"),
        "BASE_IMAGE": "debian@sha256:0",
    }
    done = subprocess.run(
        [ROOT / "docker" / script, step],
        env=os.environ | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {step} ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_runs_becomes_one_place_in_the_container(tmp_path: Path) -> None:
    (tmp_path / "podman").write_text(ENGINE, encoding="utf-8")
    (tmp_path / "podman").chmod(0o755)
    given = os.environ | {"ENGINE": str(tmp_path / "podman"), "RECORD": str(tmp_path / "record")}
    command: list[str | Path] = [ROOT / "docker/step", "train"]
    done = subprocess.run(
        command,
        env=given | {"RUNS": f"{tmp_path}/a:/opt/pgat/app"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "holds a colon" in done.stderr
    subprocess.run(command, env=given | {"RUNS": "b"}, cwd=tmp_path, capture_output=True, check=False)
    assert f"{tmp_path}/b:/pgat/runs" in (tmp_path / "record").read_text().splitlines()


@pytest.mark.parametrize(
    "given",
    [
        {"registry": "--privileged "}, {"tag": "1 x"}, {"tag": "1\n"}, {"tag": "$(id)"},
        {"images": {"train": "--volume=/:/host:1"}},
    ],
)  # fmt: skip
def test_no_image_is_called_as_an_option_or_a_command_is(given: Any) -> None:
    with pytest.raises(UserError, match="cannot be an image"):
        Cluster(**given)
    assert (
        Cluster(registry="Ghcr.io:443/a_b/", tag="1.0-x_y").image_of("train").endswith("pgat-train:1.0-x_y")
    )


def test_keys_that_containers_do_not_see_are_refused_before_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(HostileS3(), monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        (tmp_path / "keys").write_text(
            "[default]\naws_access_key_id = user\naws_secret_access_key = secret\n", encoding="ascii"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
        containers = Containers("podman", {}, "1")
        to_store = LocalRun(
            Settings(), "sample://nasdaq", tmp_path / "runs", "a", publish_uri="s3://bucket/pages",
            containers=containers,
        )  # fmt: skip
        with pytest.raises(UserError, match="s3://bucket/pages is opened by a file of keys or a role, which"):
            run_locally(to_store)
    assert not (tmp_path / "runs").exists()
