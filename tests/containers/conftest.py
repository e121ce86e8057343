"""The images under test, built once, and a chain of steps run in them as a cluster would."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import pytest

from benchmarks.step_start import SETTINGS
from components import steps
from model_core.errors import UserError
from pipelines.runners.containers import HARDENED, find_engine

ROOT = Path(__file__).parent.parent.parent
STEPS = tuple(name.replace("_", "-") for name in steps.STEPS)
WITH_IMAGES = tuple(name.replace("_", "-") for name in steps.ALL_STEPS)
BASE = "localhost/pgat-base:bookworm"
CANARY = "canary-7c1f0e5d"
AS_A_STRANGER = (*("--rm", *HARDENED, "--user=12345:0", "--env=OMP_NUM_THREADS=1"),)
"""As a user whom the image does not know, with nothing but /tmp to write; one thread, since tests share the machine."""
NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Temporary failure resolving|Connection (refused|reset|timed out)"
    r"|Read timed out|Failed to establish a new connection|Max retries exceeded"
)


@dataclass(frozen=True)
class Engine:
    """An engine with the images in it.

    Args:
        program: its command.
        settings: environment variables of ``docker/build``.
    """

    program: str
    settings: Mapping[str, str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)

    def build(self, *steps: str, flags: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
        """``docker/build`` with the tests' base, certificates and secrets; what it prints is shown as it comes."""
        settings = {**self.settings, "BUILD_FLAGS": f"--network=host {flags}", **changed}
        return subprocess.run(
            [ROOT / "docker/build", *steps],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | settings,
        )

    def inspect(self, step: str) -> dict[str, Any]:
        """What the engine knows of a step's image."""
        return json.loads(self("image", "inspect", f"pgat-{step}:local").stdout)[0]

    def python(self, step: str, code: str) -> str:
        """What a snippet prints in a step's image."""
        done = self("run", *AS_A_STRANGER, "--entrypoint=python3", f"pgat-{step}:local", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine, with all images built on a Debian base; what is the same as in an earlier build is reused."""
    try:
        program = find_engine()
    except UserError as error:
        pytest.skip(str(error))
    settings = {
        "ENGINE": program,
        "BASE_IMAGE": BASE,
        "TAG": "local",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        # No such folder, which pip skips: a secret of the build that must not stay.
        "PIP_FIND_LINKS": f"/wheels/{CANARY}",
        "CA": str(marked_certificates(tmp_path_factory.mktemp("certificates"))),
    }
    engine = Engine(program, settings)
    if engine("image", "inspect", BASE).returncode:
        made = subprocess.run(
            [ROOT / "docker/debian-base", BASE],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | settings,
        )
        if made.returncode:
            pytest.skip(
                f"docker/debian-base, which needs root, debootstrap and a Debian mirror: {made.stderr.strip()}"
            )
    fetch_torch(ROOT / "docker/wheels")
    built = engine.build()
    if built.returncode and (why := NO_NETWORK.search(built.stderr)):
        pytest.skip(f"the build reaches no package index or mirror: {why[0]}")
    assert built.returncode == 0, built.stderr
    return engine


def fetch_torch(wheels: Path) -> None:
    """The CPU build of torch that the lock names, where the usual index does not have it."""
    if list(wheels.glob("torch-*.whl")):
        return
    lock = (ROOT / "requirements/torch-cpu.lock").read_text(encoding="utf-8")
    torch = next(line.split()[0] for line in lock.splitlines() if line.startswith("torch=="))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), torch]
    if subprocess.run(command, check=False).returncode:
        pytest.skip(f"pip finds no {torch} here; set PIP_FIND_LINKS, or put its wheel into docker/wheels")


def marked_certificates(folder: Path) -> Path:
    """The certificates that Python trusts here, with the canary in a comment: the build's secret."""
    usual = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    marked = folder / "certificates.pem"
    marked.write_text(f"# {CANARY}\n{Path(usual).read_text(encoding='utf-8')}", encoding="utf-8")
    return marked


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that any user may write, with tiny settings in it."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.yaml").write_text(SETTINGS, encoding="utf-8")
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="session")
def step(engine: Engine, runs: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``step(name, *arguments)`` in its image, as a user that the image does not know, with nothing writable."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return engine(
            "run", *AS_A_STRANGER, "--network=host", f"--volume={runs}:/pgat/runs",
            f"pgat-{name}:local", "--config", "runs/tiny.yaml", *arguments,
        )  # fmt: skip

    return run
