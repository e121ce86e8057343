"""How many processors this process may use, and how its threads wait for each other.

OpenMP (libgomp, in torch's wheels for Linux) lets a thread without work spin for many milliseconds before it
sleeps, which saves the wake-up when work follows soon. On a machine with other busy processes a spinning thread keeps
its core from the very thread that it waits for, and a step becomes many times slower. ``SPINS`` bounds the spinning;
``benchmarks/waiting.py`` compares, docs/log.md has the numbers.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

SPINS = 1000
"""Turns of libgomp's waiting loop. One is the processor's pause instruction: a few to some hundred cycles."""


def bound_spinning(environment: MutableMapping[str, str]) -> None:
    """Bound how long threads spin, unless ``environment`` says how they wait; works until torch is imported."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(environment):
        environment["GOMP_SPINCOUNT"] = str(SPINS)


def usable_processors(root: Path = Path("/")) -> int:
    """Processors that this process may use: those it is bound to, or fewer where a container has a CPU limit.

    Part of a processor counts as one. Limits are those of Linux control groups, version 1 or 2, of the process's group
    and all above it.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    bound_to = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([bound_to, *(max(1, math.ceil(limit)) for limit in _limits(root))])


def _limits(root: Path) -> Iterator[float]:
    """CPU limits of the process's control group and those above it, in processors."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        # Not Linux, or /proc is hidden: no limit can be known.
        return
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            mount, read = root / "sys/fs/cgroup", _limit_of_version_2
        elif "cpu" in controllers.split(","):
            mount, read = root / "sys/fs/cgroup/cpu", _limit_of_version_1
        else:
            continue
        # In a container the path is the host's and the mount begins at the container's group: then its own files are
        # those at the top.
        folder = mount / group.lstrip("/")
        for each in [folder, *folder.parents]:
            if each.is_relative_to(mount) and (limit := read(each)) is not None:
                yield limit


def _limit_of_version_2(folder: Path) -> float | None:
    """``cpu.max`` holds quota and period in µs; the quota is ``max`` where there is no limit."""
    words = _words(folder / "cpu.max")
    return int(words[0]) / int(words[1]) if words and words[0] != "max" else None


def _limit_of_version_1(folder: Path) -> float | None:
    """Quota and period in µs are files of their own; the quota is -1 where there is no limit."""
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        # The controller is not enabled in this group.
        return []
