"""A store that fails as it is told to, and what is asked of a mirror in it."""

import json
from collections.abc import Callable
from pathlib import Path

from model_core.checkpoints.control import MAX_BYTES
from model_core.checkpoints.files import saved_info, verify_checkpoint
from model_core.checkpoints.lease import Lease
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.mirror import Mirror
from model_core.checkpoints.records import BLOBS, record_key
from model_core.deadlines import Ending
from model_core.errors import StoreError
from model_core.store.local import LocalStore
from tests.checkpoints.fakes import write_checkpoint
from tests.checkpoints.test_mirror import wait_until
from tests.faults.flips import flip_a_bit
from tests.training.tiny import SETTINGS

PERIOD = 0.05
FEW = SETTINGS.model_copy(update={"checkpoint_interval": 99})
Fault = Callable[[str], bool]


def never(key: str) -> bool:
    return False


class Faulty(LocalStore):
    """A folder as a store whose requests fail, or lose what they send, where a test says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.unreadable: Fault = never
        self.undeletable: Fault = never
        self.lossy: Fault = never
        self.garbled: list[str] = []
        """Keys whose next download arrives changed."""
        self.sent: list[str] = []

    def read(self, key: str, max_bytes: int = MAX_BYTES) -> bytes:
        self._fail(self.unreadable(key), key)
        return super().read(key, max_bytes)

    def download(self, key: str, file: Path) -> None:
        self._fail(self.unreadable(key), key)
        super().download(key, file)
        if key in self.garbled:
            self.garbled.remove(key)
            flip_a_bit(file)

    def delete(self, key: str) -> None:
        self._fail(self.undeletable(key), key)
        super().delete(key)

    def upload(self, key: str, file: Path) -> None:
        self.sent.append(key)
        if not self.lossy(key):
            super().upload(key, file)

    def _fail(self, fails: bool, key: str) -> None:
        if fails:
            raise StoreError(f"cannot reach {key} in {self.uri}: 503 SlowDown; check the network")


def failing(times: int, wanted: str) -> Fault:
    """Fails the first ``times`` requests for keys that begin with ``wanted``."""
    left = iter(range(times))
    return lambda key: key.startswith(wanted) and next(left, None) is not None


def mirror_to(store: Faulty, keep: int = 3, patience: float = 30.0) -> Mirror:
    lease = Lease(store, PERIOD)
    lease.claim()
    return Mirror(store, lease, keep, Ending(patience, patience), pause_seconds=0.01)


def deliver(mirror: Mirror, run: Path, *epochs: int) -> None:
    """Mirror the checkpoints of epochs, each whole before the next."""
    for epoch in epochs:
        write_checkpoint(run / LAST, f"epoch {epoch}", epoch)
        mirror.submit(run, [BEST, LAST, "steps.jsonl"], epoch, 0)
        wanted = mirror.checkpoints + 1
        wait_until(lambda wanted=wanted: mirror.checkpoints == wanted)  # type: ignore[misc]


def blob_of(store: Faulty, epoch: int, name: str) -> str:
    record = json.loads(LocalStore.read(store, record_key(epoch, 0)))
    return BLOBS + str(record["files"][name]["sha256"])


def fetched_epoch(folder: Path) -> int:
    verify_checkpoint(folder / LAST)
    return saved_info(folder / LAST).epoch
