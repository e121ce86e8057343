"""A password in the address of a package index stays in no command line, layer, history or file of a build."""

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
SECRET = "hush-4d11"
PLACES = {
    "TORCH_INDEX": f"https://user:{SECRET}@torch.example/whl",
    "PIP_INDEX_URL": f"https://user:{SECRET}@packages.example/simple",
    "PIP_FIND_LINKS": f"https://user:{SECRET}@wheels.example/a https://wheels.example/b",
}
ENGINE = """#!/bin/sh
printf '%s\\n' "$@" >> "$RECORD/arguments"
if [ "$1" = build ]; then
  for each in "$@"; do
    case $each in id=index,src=*) file=${each#id=index,src=} ;; esac
  done
  { ls -l "$file" | cut -c1-10; cat "$file"; echo "$file"; } > "$RECORD/secret"
fi
case $* in *RepoDigests*) echo debian@sha256:0 ;; *Size*) echo 1000000 ;; esac
"""


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """What an engine was told by ``docker/build`` with passwords in all places: its arguments, and the secret file."""
    (tmp_path / "podman").write_text(ENGINE, encoding="utf-8")
    (tmp_path / "podman").chmod(0o755)
    given = {"ENGINE": str(tmp_path / "podman"), "RECORD": str(tmp_path), "BASE_IMAGE": "debian", **PLACES}
    done = subprocess.run(
        [ROOT / "docker/build", "report"], env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return tmp_path


def test_no_argument_of_a_build_holds_the_password_of_an_index(record: Path) -> None:
    assert SECRET not in (record / "arguments").read_text(encoding="utf-8")


def test_the_build_gets_it_as_a_file_for_its_owner_only_which_is_gone_afterwards(record: Path) -> None:
    mode, *lines, file = (record / "secret").read_text(encoding="utf-8").splitlines()
    assert mode == "-rw-------"
    assert dict(line.split("=", 1) for line in lines) == PLACES
    assert not Path(file).exists()
    assert not Path(file).parent.exists()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``docker/install.py`` with the secret of a build and a pip that writes down what it is given."""
    found = importlib.util.spec_from_file_location("install", ROOT / "docker/install.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    pip = tmp_path / "pip"
    pip.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/arguments\nenv > {tmp_path}/variables\n', encoding="utf-8"
    )
    pip.chmod(0o755)
    (tmp_path / "index").write_text(
        "".join(f"{key}={value}\n" for key, value in PLACES.items()), encoding="utf-8"
    )
    monkeypatch.setattr(module, "PIP", pip)
    monkeypatch.setattr(module, "INDEX", tmp_path / "index")
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    return module


@pytest.mark.parametrize(("torch", "index"), [(False, "PIP_INDEX_URL"), (True, "TORCH_INDEX")])
def test_inside_a_build_pip_finds_the_places_in_its_variables(
    install: ModuleType, tmp_path: Path, torch: bool, index: str
) -> None:
    install.install(tmp_path / "some.lock", torch=torch)
    assert SECRET not in (tmp_path / "arguments").read_text(encoding="utf-8")
    variables = (tmp_path / "variables").read_text(encoding="utf-8").splitlines()
    assert f"PIP_INDEX_URL={PLACES[index]}" in variables
    assert f"PIP_FIND_LINKS={PLACES['PIP_FIND_LINKS']}" in variables


def test_no_argument_of_the_dockerfile_asks_for_an_index() -> None:
    """An argument would be in the history of the image."""
    text = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    declared = {
        word.split("=")[0]
        for line in text.splitlines()
        if line.startswith("ARG ")
        for word in line.split()[1:]
    }
    assert declared == {"BASE_IMAGE", "TORCH_LOCK", "SOURCE", "REVISION", "VERSION"}
    assert text.count("id=index") == text.count("/build/install.py /build/")


def test_what_every_image_is_built_from_loses_the_programs_that_become_another_user(tmp_path: Path) -> None:
    """Without an engine: the command itself, tried on a folder, and where it stands."""
    text = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"&& find / (.*) \{\} \+", text)
    for mode in (0o4755, 0o2755, 0o6711):
        (tmp_path / oct(mode)).touch()
        (tmp_path / oct(mode)).chmod(mode)
    subprocess.run(["find", str(tmp_path), *command.split(), "{}", "+"], check=True)
    assert {path.name: oct(path.stat().st_mode & 0o7777) for path in tmp_path.iterdir()} == {
        "0o4755": "0o755", "0o2755": "0o755", "0o6711": "0o711",
    }  # fmt: skip
    parents = {stage: parent for parent, stage in re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)}
    assert [stage for stage, parent in parents.items() if parent not in parents] == ["base"]
    assert text.index("&& find / ") < text.index("AS builder")


def test_the_compose_file_opens_ports_of_this_machine_only() -> None:
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
