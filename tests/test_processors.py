"""How many threads a step takes and how they wait."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model_core.processors import SPINS, bound_spinning, usable_processors
from model_core.training.threads import default_threads, use_threads

ROOT = Path(__file__).parent.parent
V1 = "12:cpuset:/a/b\n4:cpuacct,cpu:/a/b\n1:name=systemd:/a/b\n0::/a/b\n"
V2 = "0::/a/b\n"


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A ``/`` with control groups: ``files`` below ``sys/fs/cgroup``."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups, encoding="utf-8")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.usefixtures("sixteen_cores")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {"cpu.max": "max 100000\n", "a/b/cpu.max": "max 100000\n"}, 16),
        (V2, {"a/b/cpu.max": "400000 100000\n"}, 4),
        (V2, {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        (V2, {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "25000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": "6400000 100000\n"}, 16),
        # A container without a namespace for its groups: the path is the host's, the mount begins at the group.
        (V1, {"cpu/cpu.cfs_quota_us": "500000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 5),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "200000\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 2),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 16),
        (V1, {}, 16),
    ],
)
def test_a_cpu_limit_of_the_group_or_of_one_above_it_bounds_the_processors(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert usable_processors(machine(tmp_path, groups, files)) == expected


@pytest.mark.usefixtures("sixteen_cores")
def test_without_control_groups_a_process_may_use_the_processors_it_is_bound_to(tmp_path: Path) -> None:
    assert usable_processors(tmp_path) == 16


def test_steps_take_as_many_threads_as_the_limit_allows_unless_the_user_says_another_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("model_core.training.threads.usable_processors", lambda: 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        assert (default_threads(), default_threads(2), default_threads(8)) == (3, 1, 1)
        with caplog.at_level(logging.INFO, "pgat.threads"):
            use_threads()
        assert torch.get_num_threads() == 3
        assert caplog.messages == ["3 CPU thread(s)"]
        use_threads(5)
        assert torch.get_num_threads() == 5
        monkeypatch.setenv("OMP_NUM_THREADS", "5")
        assert default_threads() == 5
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("users", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_the_user_says_about_waiting_stays(users: dict[str, str]) -> None:
    environment = dict(users)
    bound_spinning(environment)
    assert environment == users


UNTIL_TORCH = """
import importlib.abc, sys

class Enough(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if "torch._C" in sys.modules:
            raise SystemExit

sys.meta_path.insert(0, Enough())
"""
"""The process ends with the first import after torch's compiled part, and OpenMP with it, was loaded."""


@pytest.mark.parametrize(
    "entry",
    [
        "components.train.step",
        "components.train.worker",
        "components.evaluate.step",
        "components.diagnose.step",
    ],
)
def test_openmp_knows_the_bound_on_spinning_when_a_step_has_loaded_torch(entry: str) -> None:
    environment = {key: text for key, text in os.environ.items() if "OMP_" not in key}
    shown = subprocess.run(
        [sys.executable, "-c", f"{UNTIL_TORCH}import {entry}"],
        cwd=ROOT,
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("this build of torch has another OpenMP than libgomp")
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in shown


def test_the_tests_themselves_wait_like_the_steps() -> None:
    assert {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ)
