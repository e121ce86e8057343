"""A launcher in a process of its own."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from components.train.torchrun import TorchrunLauncher
from tests.starting.stand_in import REAL_PYTHON
from tests.training.prepared import TRAINING, job_for
from tests.training.processes import HANGS_AFTER, started_later

REPOSITORY = Path(__file__).parents[2]


def launch_two(dataset: Path, model: Path, epochs: int, python: str) -> None:
    sys.executable = python
    settings = TRAINING.model_copy(update={"train_epochs": epochs, "checkpoint_interval": 10_000})
    TorchrunLauncher(processes=2).run(job_for(dataset, model, training_settings=settings))


@contextmanager
def a_launcher(dataset: Path, model: Path, epochs: int, python: str = REAL_PYTHON) -> Iterator[Any]:
    """A launcher in a process of its own; a test that fails leaves neither it nor its processes running.

    Of ``preloaded`` processes only the launcher's own is its child; the others end with the server that forked them.
    """
    launcher = started_later(launch_two, dataset, model, epochs, python)
    launcher.start()
    try:
        yield launcher
    finally:
        if launcher.is_alive():
            for child in psutil.Process(launcher.pid).children(recursive=True):
                child.kill()
            launcher.kill()
            launcher.join()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
