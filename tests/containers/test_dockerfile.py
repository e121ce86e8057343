"""What the Dockerfile and the handling of containers promise, without an engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.steps import ALL_STEPS as STEPS
from pipelines.runners.containers import missing_outputs

ROOT = Path(__file__).parent.parent.parent


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run([program, ROOT / "docker/Dockerfile"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_an_output_that_a_step_declared_and_did_not_leave_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    artifacts = {name: {"artifacts": [{"uri": str(tmp_path / name)}]} for name in ("model", "metrics")}
    command = ["sh", "-c", "…", "--executor_input", json.dumps({"outputs": {"artifacts": artifacts}})]
    assert missing_outputs(command) == [f"metrics at {tmp_path / 'metrics'}"]


def test_the_two_builds_of_torch_are_one_version_and_meet_no_package_of_another_lock() -> None:
    def pinned(lock: str) -> dict[str, str]:
        text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
        return dict(
            re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
        )

    cuda = pinned("torch-cuda.lock")
    assert pinned("torch-cpu.lock") == {"torch": cuda["torch"] + "+cpu"}
    assert any(name.startswith("nvidia-") for name in cuda)
    for lock in ("train.lock", "evaluate.lock"):
        assert not set(cuda) & set(pinned(lock))


@pytest.fixture
def recorder(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``docker/step`` with an engine that writes down what it is asked to run, and the programs named beside it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("env", "bash", "sh", "id", "mkdir", "basename"):
        (programs / name).symlink_to(shutil.which(name) or "")

    def run(engine: str, *arguments: str, beside: tuple[str, ...] = (), **variables: str) -> Any:
        scripts = {engine: '[ "$1" = run ] || exit 0; printf "%s\\n" "$@"', **dict.fromkeys(beside, "exit 0")}
        for name, script in scripts.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))
        }
        environment |= {"PATH": str(programs), "ENGINE": engine, "RUNS": str(tmp_path)}
        return subprocess.run(
            [ROOT / "docker/step", *arguments],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("engine", "flag"), [("docker", "--gpus\nall\n"), ("podman", "--device\nnvidia.com/gpu=all\n")]
)
def test_one_step_asks_for_the_gpus_where_there_are_some(
    recorder: Callable[..., subprocess.CompletedProcess[str]], engine: str, flag: str
) -> None:
    assert flag not in recorder(engine, "train").stdout
    assert flag in recorder(engine, "train", beside=("nvidia-smi",)).stdout


def test_one_step_is_given_the_names_of_the_s3_variables_and_no_value(
    recorder: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    said = recorder("podman", "train", "--model", "s3://a/b", AWS_SECRET_ACCESS_KEY="hush", HUSH="no").stdout
    assert "--env\nAWS_SECRET_ACCESS_KEY\n" in said
    assert "hush" not in said
    assert "HUSH" not in said
    assert said.endswith("pgat-train:local\n--model\ns3://a/b\n")


def test_what_a_store_does_not_take_outlives_the_container_of_one_step(
    recorder: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    said = recorder("podman", "train", "--model", "s3://a/b").stdout
    assert f"--volume\n{tmp_path}:/pgat/runs\n--env\nPGAT_WORK=/pgat/runs/.unsent\n" in said


def test_a_step_that_does_not_exist_is_named_with_those_that_do(
    recorder: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = recorder("podman", "fly")
    assert done.returncode == 2
    names = " ".join(STEPS).replace("_", "-")
    assert done.stderr == f"error: fly is not a step; choose one of {names}\n"


def test_the_stores_image_gets_every_module_that_its_program_imports(tmp_path: Path) -> None:
    """What the stage ``store-app`` copies is copied here, and the program imported."""
    text = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    stage = text.split("FROM builder AS store-app\n")[1].split("\n\n")[0]
    for sources, target in re.findall(r"^COPY (.+) /opt/pgat/app/(\S*)$", stage, re.MULTILINE):
        for path in [each for source in sources.split() for each in ROOT.glob(source)]:
            folder = tmp_path / target
            if path.is_dir():
                shutil.copytree(path, folder)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder)
    # An editable installation of this project would find what is missing.
    code = "import sys; sys.meta_path[:] = [each for each in sys.meta_path if 'Editable' not in repr(each)]\n"
    code += "import pipelines.store_image as image; print(image.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "pipelines/store_image.py"


_LOCKED_ONLY = """
import importlib, importlib.metadata, re, sys
step, lock = sys.argv[1:]
named = lambda name: re.sub(r"[-_.]+", "-", name).lower()
locked = {named(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", open(lock).read(), re.MULTILINE)}
locked |= {"torch", "celestial-enhanced-pgat"}
homes = importlib.metadata.packages_distributions()

class LockedOnly:
    def find_spec(self, name, path=None, target=None):
        owners = set(map(named, homes.get(name.partition(".")[0], [])))
        if owners and not owners & locked:
            raise ModuleNotFoundError(f"{name} of {', '.join(sorted(owners))} is not in {lock}", name=name)

sys.meta_path.insert(0, LockedOnly())
# KFP sends a component's body to the image, which imports these.
for module in (f"{step}.__main__", f"{step}.step", "entry_points"):
    importlib.import_module(f"components.{module}")
"""


@pytest.mark.parametrize("step", STEPS)
def test_the_lock_of_a_steps_image_holds_every_package_that_its_modules_import(step: str) -> None:
    """Whatever no distribution of the lock holds cannot be imported here, as in the image."""
    lock = STEPS[step].lock
    done = subprocess.run(
        [sys.executable, "-c", _LOCKED_ONLY, step, str(ROOT / f"requirements/{lock}.lock")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
