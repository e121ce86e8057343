"""Training and its benchmarks start where only torch and a handful of small packages are."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    "module",
    ["components.train.step", "components.train.worker", "benchmarks.gpu", "benchmarks.train_step",
     "benchmarks.compare", "benchmarks.settings_search"],
)  # fmt: skip
def test_training_needs_neither_pipelines_nor_skies_nor_statistics(module: str) -> None:
    command = [sys.executable, "-c", f"{CODE}import {module}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    unblocked = [sys.executable, "-c", f"{CODE}import arch"]
    assert subprocess.run(unblocked, cwd=ROOT, capture_output=True, check=False).returncode == 1
