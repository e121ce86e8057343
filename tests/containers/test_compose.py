"""The compose file names what exists, hardens every service, and runs the pipeline from the store to the report."""

import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from model_core.store.locate import open_store
from tests.containers.conftest import Engine

ROOT = Path(__file__).parent.parent.parent
STEPS = ("prepare-data", "train", "evaluate", "diagnose", "report")
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_compose_file_has_the_store_and_the_five_steps() -> None:
    assert set(services()) == {"store", *STEPS}


@pytest.mark.parametrize("name", ["store", *STEPS])
def test_a_service_runs_the_image_of_its_own_target_hardened(name: str) -> None:
    service = services()[name]
    targets = re.findall(
        r"^FROM \S+ AS (\S+)$", (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.M
    )
    assert name in targets
    assert service["image"] == f"${{REGISTRY:-}}pgat-{name}:${{TAG:-local}}"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["environment"].keys() >= KEYS
    assert name == "store" or service["user"] == "12345:0"


def test_a_step_waits_for_the_steps_whose_outputs_it_reads() -> None:
    """Each S3 URI that a service reads is written by a service that it waits for, directly or through others."""
    found = services()
    writers = {
        uri: step
        for step in STEPS
        for flag, uri in zip(found[step]["command"], found[step]["command"][1:], strict=False)
        if flag == {"prepare-data": "--dataset", "train": "--model", "evaluate": "--evaluation",
                    "diagnose": "--findings", "report": "--report"}[step]
    }  # fmt: skip
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


@pytest.fixture(scope="session")
def compose_program() -> str:
    """Docker Compose as the lock pins it, called where it lies: the command of its package loses the exit code."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("requirements/dev.lock has Docker Compose for Linux on x86-64 only")
    return str(files("compose") / "docker-compose")


def test_compose_reads_the_file_and_asks_for_the_keys(compose_program: str) -> None:
    command = [compose_program, "--file", str(ROOT / "docker/compose.yaml"), "config", "--quiet"]
    without = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    given = without | dict.fromkeys(KEYS, "any")
    assert subprocess.run(command, env=given, capture_output=True, text=True, check=False).returncode == 0
    refused = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "for the store" in refused.stderr


Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def compose(
    compose_program: str, engine: Engine, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Compose]:
    """``compose(*arguments, **variables)`` in a project of its own, which is gone afterwards, with the tests' settings.

    The store answers on the port in ``STORE_PORT``, with the keys of the environment.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    project = f"pgat-test-{port}"
    for name in KEYS:
        monkeypatch.setenv(name, f"{project}-{name.lower()}")
    monkeypatch.setenv("STORE_PORT", port)
    command = [compose_program, "--file", str(ROOT / "docker/compose.yaml"), "--project-name", project]
    with api_of(engine, f"{project}-store-1") as variables:

        def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
            settings = {"CONFIGS": str(runs), "CONFIG": "tiny.yaml", "TAG": "local", **variables, **changed}
            return subprocess.run(
                [*command, *arguments],
                env=os.environ | settings,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        try:
            yield run
        finally:
            gone = run("down", "--volumes", "--timeout", "1")
        assert gone.returncode == 0, gone.stderr


@contextmanager
def api_of(engine: Engine, store: str) -> Iterator[Mapping[str, str]]:
    """The variables that lead compose to the engine.

    Podman is asked to serve docker's interface. It leaves the times of health checks to systemd; here they
    are run each second, so that the test needs none.
    """
    if Path(engine.program).name != "podman":
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix://{folder}/podman.sock"
        service = subprocess.Popen(
            [engine.program, "system", "service", "--time", "0", address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        over = threading.Event()

        def check_health() -> None:
            while not over.wait(1):
                engine("healthcheck", "run", store)

        checks = threading.Thread(target=check_health)
        checks.start()
        try:
            yield {"DOCKER_HOST": address}
        finally:
            over.set()
            checks.join()
            service.terminate()
            service.wait()


@pytest.mark.containers
@pytest.mark.slow
def test_compose_runs_the_pipeline_from_an_empty_store_to_the_report(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = compose("run", "--rm", "report")
    assert done.returncode == 0, done.stdout + done.stderr + compose("logs").stdout
    endpoint = f"http://127.0.0.1:{os.environ['STORE_PORT']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert b"<html" in open_store("s3://market/run").read("report.html")
    assert list(open_store("s3://market/run/checkpoints").keys())
    stranger = urllib3.PoolManager(retries=False).request("GET", f"{endpoint}/market/run/report.html")
    assert stranger.status == 403


@pytest.mark.containers
@pytest.mark.slow
def test_compose_names_the_step_that_failed_and_has_its_sentence(compose: Compose) -> None:
    done = compose("run", "--rm", "report", SOURCE="sample://none")
    assert done.returncode != 0
    assert re.search(r"prepare-data.*exit 2", done.stderr), done.stderr
    said = compose("logs", "--no-log-prefix", "prepare-data").stdout
    assert said.startswith("error: "), said
    assert "Traceback" not in said
