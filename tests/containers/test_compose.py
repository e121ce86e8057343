"""The compose file names what exists, hardens every service, and runs the pipeline from the store to the report."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from components import steps
from model_core import variables
from model_core.store.locate import open_store
from pipelines.store import random_port
from tests.containers.compose import ComposeError, Project, load
from tests.containers.conftest import AS_A_STRANGER, STEPS, Engine

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "docker/compose.yaml"
KEYS = set(variables.KEYS)


def services() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", ["store", *STEPS])
def test_a_service_runs_the_image_of_its_own_target_with_the_keys(name: str) -> None:
    service = services()[name]
    targets = re.findall(
        r"^FROM \S+ AS (\S+)$", (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.M
    )
    assert name in targets
    assert service["image"] == f"${{REGISTRY:-}}pgat-{name}:${{TAG:-local}}"
    assert service["environment"].keys() >= KEYS
    assert name == "store" or service["user"] == "12345:0"


def test_a_step_waits_for_the_steps_whose_outputs_it_reads() -> None:
    """Each S3 URI that a service reads is written by a service that it waits for, directly or through others."""
    found = services()
    writers = {
        uri: step
        for step in STEPS
        for flag, uri in zip(found[step]["command"], found[step]["command"][1:], strict=False)
        if flag == f"--{steps.STEPS[step.replace('-', '_')].output}"
    }
    assert set(writers.values()) == set(STEPS)

    def awaited(step: str) -> set[str]:
        direct = set(found[step].get("depends_on", {}))
        return direct.union(*(awaited(each) for each in direct))

    for step in STEPS:
        read = {writers[uri] for uri in found[step]["command"] if uri in writers} - {step}
        assert read <= awaited(step), step
        assert "store" in awaited(step)


def test_no_key_stands_in_the_compose_file() -> None:
    for service in services().values():
        for key in KEYS:
            assert service["environment"][key].startswith(f"${{{key}:?")


def test_the_file_asks_for_the_keys_and_for_nothing_else() -> None:
    for name in KEYS:
        with pytest.raises(ComposeError, match=f"{name} is missing a value: choose a"):
            load(FILE, dict.fromkeys(KEYS - {name}, "any"))
    assert set(load(FILE, dict.fromkeys(KEYS, "any"))["services"]) == {"store", *STEPS}


def test_the_stores_health_check_needs_the_keys_and_no_door_that_is_open_without() -> None:
    """It asks on the S3 port, as everybody must."""
    store = services()["store"]
    assert store["healthcheck"]["test"] == [
        *("CMD", "python3", "-m", "pipelines.store_image", "--healthy"),
        *store["command"],
    ]


@pytest.fixture
def compose(engine: Engine, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Project]]:
    """``compose(**variables)``: the file as a project, which is gone afterwards, with the tests' settings.

    The store answers on the port in ``STORE_PORT``, with the keys of the environment.
    """
    port = str(random_port())
    name = f"pgat-test-{port}"
    for key in KEYS:
        monkeypatch.setenv(key, f"{name}-{key.lower()}")
    monkeypatch.setenv("STORE_PORT", port)
    projects: list[Project] = []

    def project(**variables: str) -> Project:
        settings = {"CONFIGS": str(runs), "CONFIG": "tiny.yaml", "TAG": "local", **variables}
        projects.append(Project(engine, FILE, name, settings))
        return projects[-1]

    yield project
    for each in projects:
        each.down()


@pytest.mark.containers
@pytest.mark.slow
def test_the_file_runs_the_pipeline_from_an_empty_store_to_the_report(
    compose: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = compose()
    done = project.run("report")
    assert done.returncode == 0, done.stdout + done.stderr + project.logs("store")
    endpoint = f"http://127.0.0.1:{os.environ['STORE_PORT']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert b"<html" in open_store("s3://market/run").read("report.html")
    assert list(open_store("s3://market/run/checkpoints").keys())
    stranger = urllib3.PoolManager(retries=False).request("GET", f"{endpoint}/market/run/report.html")
    assert stranger.status == 403


@pytest.mark.containers
@pytest.mark.slow
def test_a_step_that_fails_ends_the_project_with_its_name_and_has_its_sentence(
    compose: Callable[..., Project],
) -> None:
    project = compose(SOURCE="sample://none")
    done = project.run("report")
    assert done.returncode != 0
    assert re.search(r"prepare-data.*exit 2", done.stderr), done.stderr
    said = project.logs("prepare-data")
    assert said.startswith("error: "), said
    assert "Traceback" not in said


@pytest.mark.containers
@pytest.mark.slow
def test_no_port_of_the_stores_container_lets_in_its_neighbors(
    compose: Callable[..., Project], engine: Engine
) -> None:
    """What a container beside it in the same network once read without keys: filer, master and volume server."""
    project = compose()
    project.start("store")
    code = """
import http.client, socket, ssl, urllib.request as u
shut = ssl.create_default_context(); shut.check_hostname = False; shut.verify_mode = ssl.CERT_NONE
for port in (9333, 9340, 8888, 23646, 19333, 19340, 18888, 33646, 18333):
    socket.create_connection(("store", port), 5).close()
    for url in (f"http://store:{port}/", f"https://store:{port}/", f"http://store:{port}/dir/assign"):
        try:
            print(port, url, u.urlopen(url, context=shut if url[4] == "s" else None).status)
        except (OSError, http.client.BadStatusLine) as error:
            if getattr(error, "code", 400) != 400:
                print(port, url, error)
"""
    done = engine(
        "run", "--rm", f"--network={project.name}", "--entrypoint=python3", "pgat-store:local", "-c", code
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.containers
@pytest.mark.slow
def test_the_stores_container_ends_on_sigterm_and_needs_keys(
    compose: Callable[..., Project], engine: Engine
) -> None:
    project = compose()
    project.start("store")
    name = f"{project.name}-store-1"
    assert engine("stop", "--time=60", name).returncode == 0
    assert engine("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "143"
    without = engine("run", *AS_A_STRANGER, "pgat-store:local", "market")
    assert without.returncode == 2
    assert without.stderr == "error: the store needs keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
