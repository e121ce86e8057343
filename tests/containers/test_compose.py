"""The compose file names what exists and hardens every step."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
STEPS = ("prepare-data", "train", "evaluate", "diagnose", "report")
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_compose_file_has_the_store_and_the_five_steps() -> None:
    assert set(services()) == {"store", *STEPS}


@pytest.mark.parametrize("step", STEPS)
def test_a_service_builds_a_target_that_exists_and_runs_hardened(step: str) -> None:
    service = services()[step]
    dockerfile = ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]
    targets = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile.read_text(encoding="utf-8"), re.M)
    assert service["build"]["target"] in targets
    assert service["image"] == f"pgat-{step}:${{TAG:-local}}"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "12345:0"
    assert set(service["environment"]) >= KEYS


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
