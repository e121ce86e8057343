"""Who writes to a checkpoint URI: one run at a time, and a dead run does not block it for long.

The owner's name stands in ``owner.json`` with a beat that it counts up. Another run that finds it watches
whether the beat goes on, so that clocks need not agree: if it does, somebody is alive and the newcomer is
refused; if it stands still for three periods, the owner is dead and the newcomer takes over. Nothing else counts:
host and process say who it is to people, and another pod may have the same ones.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid

from model_core.checkpoints.control import MAX_BYTES, Damage, Owner, parse
from model_core.deadlines import current
from model_core.errors import CheckpointError, OversizedError, StoreError, StoreTimeoutError, shortened
from model_core.store.base import Store

log = logging.getLogger("pgat.checkpoints")
OWNER = "owner.json"
PERIOD_SECONDS = 10.0
_TOO_LARGE = b"too large"
"""Stands for the content of an object that no owner has written."""


class Lease:
    """The right to write below a store's root.

    Args:
        period_seconds: time between two beats.
    """

    def __init__(self, store: Store, period_seconds: float = PERIOD_SECONDS) -> None:
        self._store = store
        self._period = period_seconds
        self._me = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}
        self._beat = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="checkpoint-lease", daemon=True)
        self.lost_to: str | None = None
        """The run that took the lease over while this one went on."""

    def claim(self) -> None:
        """Become the owner, after waiting for a dead one's beat to stand still.

        Raises:
            CheckpointError: another run holds the lease and is alive.
            StoreError: the store cannot be reached.
        """
        sign = self._sign()
        owner = self._named_in(sign)
        if sign is not None:
            wait = 3 * self._period
            log.info(
                "%s belongs to %s; watching for %.0f s to see whether it is alive",
                self._store.uri,
                _name(owner),
                wait,
            )
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                time.sleep(self._period / 2)
                now = self._sign()
                if now is None:
                    break
                if now != sign:
                    raise CheckpointError(
                        f"another run ({_name(self._named_in(now))}) is writing checkpoints to {self._store.uri}; "
                        "wait for its end or choose another --checkpoint-uri",
                        uri=self._store.uri,
                    )
        self._write()
        self._thread.start()

    def held(self) -> bool:
        """Whether this run is still the owner; notes the run that took over.

        Raises:
            StoreError: the store cannot be reached.
        """
        owner = self._named_in(self._sign())
        if owner is not None and owner.run != self._me["run"]:
            self.lost_to = _name(owner)
        return self.lost_to is None

    def release(self) -> None:
        """Give the lease up to the next run at once, within the deadline that holds for this thread."""
        self._stop.set()
        self._thread.join(timeout=min(self._period, current().left()))
        try:
            if self.held():
                self._store.delete(OWNER)
        except StoreError as error:
            log.warning("the next run on %s will wait %.0f s: %s", self._store.uri, 3 * self._period, error)

    def _keep_beating(self) -> None:
        while not self._stop.wait(self._period):
            try:
                if not self.held():
                    return
                self._write()
            except StoreError as error:
                log.debug("no sign of life could be left: %s", error)

    def _write(self) -> None:
        self._beat += 1
        self._store.write(OWNER, json.dumps(self._me | {"beat": self._beat}).encode())

    def _sign(self) -> bytes | None:
        """The newest sign of life of whoever holds the lease."""
        if not self._store.exists(OWNER):
            return None
        try:
            return self._store.read(OWNER, MAX_BYTES)
        except OversizedError:
            return _TOO_LARGE
        except StoreTimeoutError:
            raise
        except StoreError:
            if self._store.exists(OWNER):
                raise
            # Its owner left between the two questions.
            return None

    def _named_in(self, sign: bytes | None) -> Owner | None:
        """Who left a sign; nobody if it is damaged, which is not a reason to refuse a newcomer."""
        if sign is None:
            return None
        try:
            return parse(Owner, sign)
        except Damage as damage:
            log.warning("%s in %s names no owner: %s", OWNER, self._store.uri, damage)
            return None


def _name(owner: Owner | None) -> str:
    return "somebody" if owner is None else f"process {owner.process} on {shortened(owner.host)}"
