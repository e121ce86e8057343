"""What is in the images, and what is not."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.containers.conftest import BASE, CANARY, ROOT, WITH_IMAGES, Engine

pytestmark = [pytest.mark.containers, pytest.mark.slow]
BUDGET_MB = {
    "prepare-data": 450,
    "report": 600,  # 115 of them SciPy, for the intervals of parts of the test span
    "train": 1700,
    "evaluate": 1700,
    "diagnose": 1700,
    "store": 450,
}
IMAGES = tuple(BUDGET_MB)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_small_labelled_and_runs_one_program_as_a_numeric_user(engine: Engine, name: str) -> None:
    image = engine.inspect(name)
    settings = image["Config"]
    assert image["Size"] < BUDGET_MB[name] * 1e6
    assert re.fullmatch(r"[1-9]\d*:\d+", settings["User"])
    of_a_step = ["python3", "-m", f"components.{name.replace('-', '_')}"]
    of_the_store = ["python3", "-m", "pipelines.store_image"]
    assert settings["Entrypoint"] == (of_a_step if name in WITH_IMAGES else of_the_store)
    assert settings["Labels"]["org.opencontainers.image.title"] == f"pgat-{name}"
    base = settings["Labels"]["org.opencontainers.image.base.name"]
    assert base == BASE or re.search(r"@sha256:[0-9a-f]{64}$", base)
    assert "org.opencontainers.image.source" in settings["Labels"]
    assert settings["Labels"]["org.opencontainers.image.revision"]
    assert settings["Labels"]["org.opencontainers.image.version"]
    assert not settings.get("Healthcheck")


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_what_its_lock_and_its_bill_say_and_nothing_else(engine: Engine, name: str) -> None:
    code = (
        "import sys, importlib.metadata as m; places = [p for p in sys.path if 'pgat/lib' in p]; "
        "print(*sorted(f'{d.name.lower()}=={d.version}' for d in m.distributions(path=places)))"
    )
    installed = {
        re.sub(r"[_.]", "-", each.split("==")[0]) + "==" + each.split("==")[1]
        for each in engine.python(name, code).split()
    }
    lock = (ROOT / f"build/images/{name}.lock").read_text(encoding="utf-8")
    assert installed == set(re.findall(r"^[a-z][^\s\\]*==[^\s\\]*", lock, re.MULTILINE))
    bill = (ROOT / f"build/images/{name}.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    purls = {part["purl"] for part in json.loads(bill)["components"]}
    assert {
        f"{each['name']}=={each['version']}"
        for each in json.loads(bill)["components"]
        if each["purl"].startswith("pkg:pypi/")
    } == installed
    assert any(purl.startswith("pkg:deb/debian/python3@") for purl in purls)


@pytest.mark.parametrize("name", IMAGES)
def test_no_program_in_an_image_becomes_another_user(engine: Engine, name: str) -> None:
    """Root looks, who may enter every folder."""
    code = (
        "import os; print([f'{d}/{n}' for d, _, names in os.walk('/') if not d.startswith(('/proc', '/sys')) "
        "for n in names if os.lstat(f'{d}/{n}').st_mode & 0o6000])"
    )
    found = engine("run", "--rm", "--user=0", "--entrypoint=python3", f"pgat-{name}:local", "-c", code)
    assert (found.stdout, found.returncode) == ("[]\n", 0)


@pytest.mark.parametrize("step", WITH_IMAGES)
def test_an_image_runs_kfps_executor_without_the_sdk_and_only_some_hold_torch(
    engine: Engine, step: str
) -> None:
    code = (
        "import importlib.util as u, kfp.dsl.executor_main; "
        "print([n for n in ('torch','kfp.client','kfp.compiler','kfp.local','pip','kubernetes') if u.find_spec(n)])"
    )
    allowed = {
        "train": ["torch", "kubernetes"],
        **{name: ["torch"] for name in ("evaluate", "diagnose", "register-model")},
    }
    assert engine.python(step, code) == str(allowed.get(step, []))


def test_the_images_with_torch_share_its_layer(engine: Engine) -> None:
    """One layer more than all images share with their base."""
    layers = {name: engine.inspect(name)["RootFS"]["Layers"] for name in IMAGES}
    shared = [each for each in layers["train"] if each in layers["evaluate"] and each in layers["diagnose"]]
    assert len([each for each in shared if each not in layers["report"]]) == 1


def test_no_layer_holds_a_secret_or_sources_of_anything_else(engine: Engine, tmp_path: Path) -> None:
    """All images in one archive, each layer once: their files, their settings and how they were made."""
    saved = tmp_path / "images.tar"
    several = ["--multi-image-archive"] if Path(engine.program).name == "podman" else []
    images = [f"pgat-{name}:local" for name in IMAGES]
    assert engine("save", *several, "--output", str(saved), *images).returncode == 0
    names: set[str] = set()
    with tarfile.open(saved) as archive:
        for member in [each for each in archive if each.isfile()]:
            try:
                with tarfile.open(fileobj=archive.extractfile(member)) as layer:
                    for file in [each for each in layer if each.isfile()]:
                        names.add(file.name.lstrip("./"))
                        assert not holds_the_canary(layer.extractfile(file)), file.name
            except tarfile.ReadError:
                assert not holds_the_canary(archive.extractfile(member)), member.name
    ours = {tuple(name.split("/")[2:]) for name in names if name.startswith("opt/pgat/")}
    assert {path[0] for path in ours} == {"app", "bin", "lib", "share", "pyvenv.cfg"}
    assert {path[1] for path in ours if path[0] == "app"} == {
        *("model_core", "components", "pipelines", "LICENSE")
    }
    assert {path[1] for path in ours if path[0] == "share"} >= {
        "requirements.lock",
        "sbom.cdx.json",
        "origin",
    }
    working_places = (
        r"(build|wheels|pgat|tmp|run|home|srv|mnt|media|boot|root/\.cache|var/cache/pip|opt/(?!pgat/))"
    )
    assert [name for name in names if re.match(working_places + r"(/|$)", name)] == []
    assert [name for name in names if re.search(r"(^|/)\.git/", name)] == []


def holds_the_canary(content: IO[bytes] | None) -> bool:
    """Whether the mark of the build's secret is in a file, read piece by piece."""
    assert content is not None
    before = b""
    while piece := content.read(1 << 20):
        if CANARY.encode() in before + piece:
            return True
        before = piece[-len(CANARY) :]
    return False


def test_a_build_that_uses_no_cache_gives_the_same_layers(engine: Engine) -> None:
    if Path(engine.program).name != "podman":
        pytest.skip("docker has no flag that dates what a build makes")
    before = engine.inspect("report")["RootFS"]["Layers"]
    again = engine.build("report", flags="--no-cache")
    assert again.returncode == 0, again.stderr
    assert engine.inspect("report")["RootFS"]["Layers"] == before


def test_an_image_names_the_commit_that_it_is_built_from_whatever_is_in_the_cache(engine: Engine) -> None:
    def revisions() -> set[str]:
        settings = engine.inspect("report")["Config"]
        variables = dict(each.split("=", 1) for each in settings["Env"])
        return {settings["Labels"]["org.opencontainers.image.revision"], variables["PGAT_GIT_COMMIT"]}

    for revision in ("another", "a third"):
        assert engine.build("report", REVISION=revision).returncode == 0
        assert revisions() == {revision}
    assert engine.build("report").returncode == 0


def test_a_base_that_cannot_be_had_is_refused_with_a_sentence(engine: Engine) -> None:
    given = {"ENGINE": engine.program, "BASE_IMAGE": "localhost/pgat-none:none"}
    done = subprocess.run(
        [ROOT / "docker/build", "report"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("the base localhost/pgat-none:none is not to be had")
