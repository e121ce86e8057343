"""What is in the images, and what is not."""

import json
import re
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.containers.conftest import CANARY, ROOT, STEPS, Engine

pytestmark = [pytest.mark.containers, pytest.mark.slow]
BUDGET_MB = {"prepare-data": 450, "report": 450, "train": 1700, "evaluate": 1700, "diagnose": 1700}


@pytest.mark.parametrize("step", STEPS)
def test_an_image_is_small_labelled_and_runs_python_as_a_numeric_user(engine: Engine, step: str) -> None:
    image = engine.inspect(step)
    settings = image["Config"]
    assert image["Size"] < BUDGET_MB[step] * 1e6
    assert re.fullmatch(r"[1-9]\d*:\d+", settings["User"])
    assert settings["Entrypoint"] == ["python3", "-m", f"components.{step.replace('-', '_')}"]
    assert settings["Labels"]["org.opencontainers.image.title"] == f"pgat-{step}"
    assert settings["Labels"]["org.opencontainers.image.revision"]
    assert settings["Labels"]["org.opencontainers.image.version"]
    assert not settings.get("Healthcheck")


@pytest.mark.parametrize("step", STEPS)
def test_an_image_holds_what_its_lock_and_its_bill_say_and_nothing_else(engine: Engine, step: str) -> None:
    code = (
        "import sys, importlib.metadata as m; places = [p for p in sys.path if 'pgat/lib' in p]; "
        "print(*sorted(f'{d.name.lower()}=={d.version}' for d in m.distributions(path=places)))"
    )
    installed = {
        re.sub(r"[_.]", "-", each.split("==")[0]) + "==" + each.split("==")[1]
        for each in engine.python(step, code).split()
    }
    lock = (ROOT / f"build/images/{step}.lock").read_text(encoding="utf-8")
    assert installed == set(re.findall(r"^[a-z][^\s\\]*==[^\s\\]*", lock, re.MULTILINE))
    bill = (ROOT / f"build/images/{step}.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    purls = {part["purl"] for part in json.loads(bill)["components"]}
    assert {
        f"{each['name']}=={each['version']}"
        for each in json.loads(bill)["components"]
        if each["purl"].startswith("pkg:pypi/")
    } == installed
    assert any(purl.startswith("pkg:deb/debian/python3@") for purl in purls)


@pytest.mark.parametrize("step", STEPS)
def test_an_image_runs_kfps_executor_without_the_sdk_and_only_some_hold_torch(
    engine: Engine, step: str
) -> None:
    code = (
        "import importlib.util as u, kfp.dsl.executor_main; "
        "print([n for n in ('torch','kfp.client','kfp.compiler','kfp.local','pip','kubernetes') if u.find_spec(n)])"
    )
    allowed = {"train": ["torch", "kubernetes"], "evaluate": ["torch"], "diagnose": ["torch"]}
    assert engine.python(step, code) == str(allowed.get(step, []))


def test_no_layer_holds_a_secret_or_sources_of_anything_else(engine: Engine, tmp_path: Path) -> None:
    for step in ("report", "train"):
        saved = tmp_path / "image.tar"
        assert engine("save", "--output", str(saved), f"pgat-{step}:local").returncode == 0
        with tarfile.open(saved) as image:
            for layer in [member for member in image if member.isfile() and member.size > 100_000]:
                with tarfile.open(fileobj=image.extractfile(layer)) as files:
                    for file in files:
                        name = file.name.lstrip("./")
                        if name.startswith("opt/pgat/app/") and file.isfile():
                            assert name.split("/")[3] in {"model_core", "components", "LICENSE"}, name
                        assert (
                            not re.search(
                                r"(^|/)(\.git|wheels|build)(/|$)|pip/(http|wheels)|run/secrets/", name
                            )
                            or "site-packages" in name
                        ), name
                        if file.isfile() and file.size < 1_000_000:
                            content = files.extractfile(file)
                            assert content is not None
                            assert CANARY.encode() not in content.read(), name
        saved.unlink()
