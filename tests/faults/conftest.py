"""What the tests of faults share, and never change."""

from pathlib import Path

import pytest

from tests.faults.steps import do, words
from tests.training.prepared import write_tiny_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each step left: ``dataset``, ``model``, ``evaluation`` and ``findings``."""
    folder = tmp_path_factory.mktemp("made")
    write_tiny_dataset(folder / "dataset")
    for step in ("train", "evaluate", "diagnose"):
        do(step, words(step, folder, folder))
    return folder
