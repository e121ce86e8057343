"""Runs a module as ``python -m`` does and kills it at a named point: before the n-th call of some function.

python -m tests.faults.killer pathlib:Path.rename 1 components.prepare_data --source …
"""

import importlib
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce, wraps
from typing import Any


def killed_at(point: str, call: int, module: str, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Start the module in a process that dies before the ``call``-th call of ``point``, e.g. ``os:replace``."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.killer", point, str(call), module, *words],
        capture_output=True,
        text=True,
        check=False,
    )


def _arm(point: str, call: int) -> None:
    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner: Any = reduce(getattr, owners, importlib.import_module(module))
    original, left = getattr(owner, name), [call]

    @wraps(original)
    def mortal(*given: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **more)

    setattr(owner, name, mortal)
    # Where the process was forked from one that has imported all steps, others know the function by name already.
    for known in list(sys.modules.values()):
        for alias, value in list(vars(known).items()):
            if value is original:
                setattr(known, alias, mortal)


if __name__ == "__main__":
    point, call, module, *words = sys.argv[1:]
    _arm(point, int(call))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
