"""Docker Compose for one file: just as much of its language as ``docker/compose.yaml`` uses, run with an engine.

Compose itself is not on PyPI under the name of who makes it, nor in Debian 12 in a version that reads the file. What
stands here refuses every key that it does not know, so that the file cannot come to mean more than is tested. The
rules are those of the Compose Specification: variables are replaced, a service waits for what it depends on, and a
project has one network in which each service has its own name.
"""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.containers.conftest import Engine

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:-|:\?)(?P<text>[^}]*)\}")
_KEYS = {
    *("image", "command", "environment", "user", "volumes", "ports", "tmpfs", "read_only", "cap_drop"),
    *("security_opt", "depends_on", "healthcheck", "stop_grace_period"),
}
_HEALTH = {"test", "interval", "retries"}


class ComposeError(Exception):
    """The file cannot be run: a variable is missing, or something in it is not known here."""


def load(file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables replaced.

    Raises:
        ComposeError: a variable that must be set is not, or a key is not known.
    """
    project = yaml.safe_load(file.read_text(encoding="utf-8"))
    strange = {key for key in project if not key.startswith("x-")} - {"name", "services", "volumes"}
    for name, service in project["services"].items():
        strange |= {f"{name}.{key}" for key in set(service) - _KEYS}
        strange |= {f"{name}.healthcheck.{key}" for key in set(service.get("healthcheck", {})) - _HEALTH}
    if strange:
        raise ComposeError(f"not known here: {', '.join(sorted(strange))}")
    return {"services": _replaced(project["services"], variables), "volumes": project["volumes"]}


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {key: _replaced(each, variables) for key, each in value.items()}
        case list():
            return [_replaced(each, variables) for each in value]
        case str():
            return _VARIABLE.sub(lambda found: _value(found, variables), value)
    return value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if given := variables.get(found["name"]):
        return given
    if found["rule"] == ":?":
        raise ComposeError(f"required variable {found['name']} is missing a value: {found['text']}")
    return found["text"]


class Project:
    """The containers of one file, with a network and volumes of their own until ``down``.

    Args:
        engine: which runs them.
        file: the compose file.
        name: begins the names of all that is made.
        variables: beside those of the environment.
    """

    def __init__(self, engine: Engine, file: Path, name: str, variables: Mapping[str, str]) -> None:
        loaded = load(file, os.environ | variables)
        self.engine, self.folder, self.name = engine, file.parent, name
        self.services: dict[str, dict[str, Any]] = loaded["services"]
        self.volumes: set[str] = set(loaded["volumes"])
        self.ended: dict[str, int] = {}
        self.started: set[str] = set()
        self._engine("network", "create", name)

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run``: what the service depends on, then the service itself to its end."""
        for other, wish in self.services[service].get("depends_on", {}).items():
            match wish["condition"]:
                case "service_healthy":
                    self.start(other)
                case "service_completed_successfully":
                    if other not in self.ended:
                        before = self.run(other)
                        if other not in self.ended:
                            return before
                    if self.ended[other]:
                        said = f"service {other} did not complete successfully: exit {self.ended[other]}\n"
                        return subprocess.CompletedProcess([], 1, "", said)
                case other_condition:
                    raise ComposeError(f"{service} waits for {other_condition}, which is not known here")
        done = self.engine("run", *self._options(service))
        self.ended[service] = done.returncode
        return done

    def logs(self, service: str) -> str:
        """What a service said, both streams."""
        done = self.engine("logs", f"{self.name}-{service}-1")
        return done.stdout + done.stderr

    def down(self) -> None:
        """Remove everything."""
        for service in {*self.ended, *self.started}:
            self._engine("rm", "--force", f"{self.name}-{service}-1")
        for volume in self.volumes:
            self.engine("volume", "rm", "--force", f"{self.name}_{volume}")
        self._engine("network", "rm", self.name)

    def start(self, service: str) -> None:
        """Start a service and wait until it is healthy, as often and as long as its health check says."""
        if service in self.started:
            return
        self.started.add(service)
        self._engine("run", "--detach", *self._options(service))
        check = self.services[service]["healthcheck"]
        assert check["test"][0] == "CMD"
        for _ in range(check["retries"]):
            time.sleep(float(check["interval"].removesuffix("s")))
            if self.engine("exec", f"{self.name}-{service}-1", *check["test"][1:]).returncode == 0:
                return
            if self._state(service, "Running") == "false":
                break
        raise ComposeError(f"{service} is unhealthy: {self.logs(service)}")

    def _state(self, service: str, what: str) -> str:
        """``Running``, ``ExitCode``, … of a service's container."""
        return self.engine(
            "inspect", "--format", f"{{{{.State.{what}}}}}", f"{self.name}-{service}-1"
        ).stdout.strip()

    def _options(self, service: str) -> list[str]:
        """Everything after ``run``."""
        said = self.services[service]
        options = [f"--name={self.name}-{service}-1", f"--network={self.name}", f"--network-alias={service}"]
        options += ["--read-only"] if said.get("read_only") else []
        options += [f"--user={said['user']}"] if "user" in said else []
        for key, flag in (
            ("cap_drop", "cap-drop"),
            ("security_opt", "security-opt"),
            ("tmpfs", "tmpfs"),
            ("ports", "publish"),
        ):
            options += [f"--{flag}={each}" for each in said.get(key, [])]
        options += [f"--volume={self._mounted(each)}" for each in said.get("volumes", [])]
        options += [f"--env={key}={value}" for key, value in said["environment"].items()]
        return [*options, said["image"], *said["command"]]

    def _mounted(self, volume: str) -> str:
        source, rest = volume.split(":", 1)
        if source in self.volumes:
            return f"{self.name}_{source}:{rest}"
        return f"{(self.folder / source).resolve()}:{rest}"

    def _engine(self, *arguments: str) -> None:
        done = self.engine(*arguments)
        if done.returncode:
            raise ComposeError(done.stderr)
