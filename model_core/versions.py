"""Which versions of Python, of the packages that results depend on and of this project run. Imports none of them."""

import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "skyfield",
    "skyfield-data",
    "jplephem",
    "arch",
    "kfp",
)


def versions() -> dict[str, str]:
    """Python and the packages that results depend on, as installed."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    installed = {name.lower() for name in _installed()}
    found.update({name: build_version(name) for name in _PACKAGES if name in installed})
    return found


def build_version(package: str) -> str:
    """Version of an installed package with the label of its build, if it has one: ``2.13.0+cu130``.

    The metadata of torch's default wheel say ``2.13.0`` for whatever CUDA it was built with; which build it is
    says only its ``version.py``. It is read as text, since importing torch takes seconds.
    """
    found = metadata.distribution(package)
    module = Path(str(found.locate_file(package.replace("-", "_")))) / "version.py"
    text = module.read_text(encoding="utf-8") if module.is_file() else ""
    labeled = re.search(rf"^__version__ = '({re.escape(found.version)}\+[\w.]+)'$", text, re.MULTILINE)
    return labeled[1] if labeled else found.version


@cache
def _installed() -> tuple[str, ...]:
    return tuple(d.metadata["Name"] for d in metadata.distributions())


@cache
def git_commit() -> str | None:
    """The commit of the checkout this package runs from, ``-dirty`` if files differ.

    Outside git, what PGAT_GIT_COMMIT says, as in the images; None if that is no commit's or tag's name.
    """
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        said = os.environ.get("PGAT_GIT_COMMIT", "")
        return said if re.fullmatch(r"[\w./+-]{1,100}", said, re.ASCII) else None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
