"""A fact stands in one place: where another file must repeat it, it is held to that place here."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from components.steps import ALL_STEPS, STEPS
from model_core import variables
from model_core.config.run import LauncherKind, LauncherSettings

ROOT = Path(__file__).parent.parent
NAMES = [name.replace("_", "-") for name in STEPS]
"""As images and commands write them."""
ALL_NAMES = [name.replace("_", "-") for name in ALL_STEPS]
PACKAGES = ("model_core", "components", "pipelines")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    return yaml.safe_load(text_of("docker/compose.yaml"))


def keys_of(file: str, name: str) -> set[str]:
    """The keys of a dictionary at module level."""
    for node in ast.parse(text_of(file)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            assert isinstance(node.value, ast.Dict)
            return {ast.literal_eval(key) for key in node.value.keys if key}
    raise AssertionError(f"{file} assigns no {name}")


@cache
def literals() -> frozenset[tuple[str, str]]:
    """Every text in the code that is no documentation, with its file."""
    found = set()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                found.add((path.relative_to(ROOT).as_posix(), node.value))
    return frozenset(found)


# --- the steps --------------------------------------------------------------------------------------


def test_every_step_is_a_folder_of_components_and_every_such_folder_a_step() -> None:
    assert {path.parent.name for path in (ROOT / "components").glob("*/step.py")} == set(ALL_STEPS)
    for step in ALL_STEPS:
        assert (ROOT / f"components/{step}/component.py").exists()
        assert (ROOT / f"components/{step}/__main__.py").exists()


def test_the_scripts_read_the_steps_in_their_order() -> None:
    done = subprocess.run([ROOT / "docker/steps"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ALL_NAMES


@pytest.mark.parametrize("file", ["Makefile", "docker/build", "docker/step"])
def test_a_script_repeats_no_list_of_steps(file: str) -> None:
    assert "docker/steps" in text_of(file) or '"${0%/*}/steps"' in text_of(file)
    assert not re.search(r"evaluate\W+diagnose", text_of(file))


def test_every_step_is_a_stage_of_the_dockerfile_with_the_packages_of_its_lock() -> None:
    text = text_of("docker/Dockerfile")
    made_from = {made: base for base, made in re.findall(r"^FROM (\S+) AS (\S+)$", text, re.M)}
    for step, name in zip(ALL_STEPS.values(), ALL_NAMES, strict=True):
        assert name in made_from
        assert made_from[f"{name}-bill"] == f"{step.lock}-packages"
        assert f'ENTRYPOINT ["python3", "-m", "components.{name.replace("-", "_")}"]' in text


def test_every_step_is_a_service_of_the_compose_file() -> None:
    assert set(compose()["services"]) == {"store", *NAMES}


def test_every_lock_of_a_step_is_written_and_no_other() -> None:
    locks = {step.lock for step in ALL_STEPS.values()} | {"store"}
    assert keys_of("requirements/lock.py", "IMAGES") == locks
    assert keys_of("requirements/lock.py", "BARE") == locks
    assert all((ROOT / f"requirements/{lock}.lock").exists() for lock in locks)


def test_the_pipeline_runs_every_step_under_its_name() -> None:
    """The graph itself is the golden file's; here each step is called, and configured under its own name."""
    tree = ast.parse(text_of("pipelines/training.py"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert set(ALL_STEPS) <= called
    (tasks,) = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    ]
    assert [ast.literal_eval(key) for key in tasks.keys if key] == list(STEPS)


# --- the launchers ----------------------------------------------------------------------------------


def test_the_launchers_stand_in_the_settings_alone_and_each_has_its_arm_where_one_is_chosen() -> None:
    assert get_type_hints(LauncherSettings)["kind"] == LauncherKind
    places = {file for file, value in literals() if value == "trainer"}
    assert places == {"model_core/config/run.py", "components/train/launchers.py"}
    tree = ast.parse(text_of("components/train/launchers.py"))
    (choice,) = [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    arms = {ast.unparse(case.pattern).strip("'") for case in choice.cases}
    assert arms - {"unknown"} == set(get_args(LauncherKind))


# --- the object store -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [*variables.STORE, *variables.SECRETS, *variables.SECRET_FIELDS, variables.CLUSTER_STORE]
)
def test_a_variable_of_the_store_is_named_in_one_module(name: str) -> None:
    """A message that mentions it among other words may write it out."""
    assert {file for file, value in literals() if value == name} == {"model_core/variables.py"}


def test_one_step_in_a_container_is_told_the_variables_of_the_store() -> None:
    told = re.search(r"^for name in \\\n((?:.*\\\n)*.*)\ndo", text_of("docker/step"), re.M)
    assert told is not None
    assert set(told[1].replace("\\", "").split()) == set(variables.STORE)


def test_the_compose_file_names_variables_that_are_read() -> None:
    for service in compose()["services"].values():
        assert set(variables.KEYS) <= set(service["environment"]) <= set(variables.STORE)


def test_one_module_takes_uris_apart() -> None:
    """The others only find them in a text, to hide what may be a password."""
    cut_at = set()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        composed = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in composed else None
            if isinstance(text, str) and text.endswith("://"):
                cut_at.add(path.relative_to(ROOT).as_posix())
    assert cut_at == {"model_core/store/names.py", "model_core/errors.py", "components/arguments.py"}


# --- what a container of a step is denied -----------------------------------------------------------


def hardened() -> set[str]:
    from pipelines.runners.containers import HARDENED

    return set(HARDENED)


@pytest.mark.parametrize("file", ["docker/step", "docs/images.md"])
def test_every_command_that_starts_a_step_denies_it_the_same(file: str) -> None:
    commands = [line for line in text_of(file).splitlines() if "--read-only" in line]
    assert commands
    for command in commands:
        assert hardened() <= set(re.findall(r"--[\w-]+(?:=[\w/-]+)?", command)), command


def test_every_service_of_the_compose_file_is_denied_the_same() -> None:
    for service in compose()["services"].values():
        flags = {"--read-only"} if service["read_only"] else set()
        flags |= {f"--cap-drop={each}" for each in service["cap_drop"]}
        flags |= {f"--security-opt={each.removesuffix(':true')}" for each in service["security_opt"]}
        flags |= {f"--tmpfs={each}" for each in service["tmpfs"]}
        assert flags == hardened()


def test_no_other_file_repeats_those_flags() -> None:
    command = [
        "git",
        "-C",
        str(ROOT),
        "grep",
        "-l",
        "-e",
        "--cap-drop=ALL",
        "--",
        ":!tests/test_one_place.py",
    ]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(listed) == {"docker/step", "docs/images.md", "pipelines/runners/containers.py"}


# --- servers of tests -------------------------------------------------------------------------------


def test_servers_of_tests_run_in_one_place() -> None:
    """``tests.serving`` frees the port whatever happens; what is no test of pytest runs until its process ends."""
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if "target=" in (text := path.read_text(encoding="utf-8")) and ".serve_forever" in text
    }
    assert files - {"tests/test_one_place.py"} == {"tests/serving.py", "tests/faults/seconds.py"}
