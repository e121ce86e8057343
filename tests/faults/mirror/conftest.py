"""A run, its mirror in a store with faults, and a machine that knows of neither."""

from pathlib import Path

import pytest

from model_core.checkpoints import mirror as mirror_module
from model_core.checkpoints import records
from model_core.checkpoints.local import BEST
from model_core.checkpoints.mirror import open_mirror
from model_core.deadlines import Ending
from tests.checkpoints.fakes import write_checkpoint
from tests.faults.mirror.faulty import FEW, PERIOD, Faulty, deliver, mirror_to
from tests.training.tiny import train_tiny


@pytest.fixture
def store(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path / "store")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, store: Faulty) -> None:
    """Nobody waits before asking again, and every URI leads to the faulty store."""
    monkeypatch.setattr(records, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(mirror_module, "open_store", lambda uri: store)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run whose best epoch stays the first."""
    write_checkpoint(tmp_path / "run" / BEST, "best", 1)
    return tmp_path / "run"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """The folder of a run on a fresh machine."""
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


@pytest.fixture
def filled(store: Faulty, run: Path) -> Faulty:
    """A store with three checkpoints."""
    with mirror_to(store) as mirror:
        deliver(mirror, run, 1, 2, 3)
    return store


@pytest.fixture
def trained(store: Faulty, tmp_path: Path) -> Path:
    """A run of three epochs, the second the best, that kept no state of it; all is mirrored."""
    with open_mirror("any", tmp_path / "run", 9, Ending(30.0, 30.0), PERIOD) as mirror:
        assert train_tiny(tmp_path / "run", FEW, mirror=mirror).result.best_epoch == 2
    return tmp_path / "run"
