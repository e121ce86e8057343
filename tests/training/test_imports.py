"""Training and its benchmarks start where only torch and a handful of small packages are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BLOCKED = ("kfp", "skyfield", "arch", "minio", "matplotlib", "statsmodels")
CODE = f"""
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)

sys.meta_path.insert(0, Blocked())
"""


MODULES = (
    "components.train.step", "components.train.worker", "benchmarks.gpu", "benchmarks.train_step",
    "benchmarks.compare", "benchmarks.settings_search",
)  # fmt: skip


def test_training_needs_neither_pipelines_nor_skies_nor_statistics() -> None:
    """One process imports all of them: what is blocked for one can be loaded by none."""
    ended = with_blocked(f"import {', '.join(MODULES)}")
    assert ended.returncode == 0, ended.stderr


def test_what_is_blocked_here_cannot_be_imported() -> None:
    for package in BLOCKED:
        ended = with_blocked(f"import {package}")
        assert ended.returncode == 1
        assert ended.stderr.endswith(f"ModuleNotFoundError: No module named {package}\n")


def with_blocked(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", CODE + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
