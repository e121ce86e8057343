"""What the tests of faults share, and never change."""

from pathlib import Path

import pytest

from model_core.store import client
from model_core.store.pace import PacedRetry
from pipelines.__main__ import main
from tests.faults.published import FILES, Outcome
from tests.faults.steps import do, words
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.training.prepared import write_tiny_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each step left: ``dataset``, ``model``, ``evaluation`` and ``findings``."""
    folder = tmp_path_factory.mktemp("made")
    write_tiny_dataset(folder / "dataset")
    for step in ("train", "evaluate", "diagnose"):
        do(step, words(step, folder, folder))
    return folder


@pytest.fixture
def asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is gone is not waited for."""
    monkeypatch.setattr(client, "_RETRIES", PacedRetry(total=0))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, ``first`` and ``second``, of which none is published yet."""
    runs = tmp_path / "runs"
    for number, name in enumerate(("first", "second")):
        write_record(runs, synthetic_record(number, name=name))
        for file in FILES:
            (runs / name / file).write_text(f"{file} of {name} " * 1000, encoding="utf-8")
    return runs


@pytest.fixture
def outcome(capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Does what ``runs`` is told; a command that fails says one line."""

    def code_of(words: list[str]) -> int:
        capsys.readouterr()
        code = main(["runs", *words])
        error = capsys.readouterr().err
        assert (code == 0) == (error.count("error: ") == 0), error
        assert error.count("\n") == (code != 0), error
        assert "Traceback" not in error
        return code

    return code_of
