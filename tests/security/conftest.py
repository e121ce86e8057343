"""What the tests by chance share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of one module."""
    return tmp_path_factory.mktemp("fuzz")
