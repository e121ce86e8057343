"""The progress of a training, told to the Kubeflow Trainer in whose TrainJob it runs: percent, time left, losses.

Trainer 2.3 (alpha, feature gate ``TrainJobStatus``) gives the pods of a TrainJob the address of a server, the
certificate of its authority and a token, in three variables, and shows what it is told in the TrainJob's status:
``kubectl get trainjob``. The protocol is that of ``docs/user-guides/trainjob-progress.md`` in kubeflow/trainer
(KEP-2779). Where the variables are not set, nobody is told anything. A server that does not answer, or refuses, costs
one warning and no time: a thread asks it.
"""

import json
import logging
import math
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from model_core.errors import shown
from model_core.results.training import HistoryRow
from model_core.variables import TRAINER_AUTHORITY, TRAINER_TOKEN, TRAINER_URL

log = logging.getLogger("pgat.train")
_SECONDS = 5.0
"""The least time between two requests, as the Trainer asks for, and the longest that one may take."""
_TOLD = ("train_loss", "validation_loss")
"""Fields of an epoch's row that are told as metrics."""
_TOKEN_BYTES = 2**16


class JobStatus:
    """Tells one server, from a thread of its own.

    Args:
        url: where the TrainJob's status is sent.
        authority: file with the certificate of the authority that signed the server's.
        token: file with the token that says which pod this is; the cluster renews it.
    """

    def __init__(self, url: str, authority: Path, token: Path) -> None:
        self._url, self._authority, self._token = url, authority, token
        self._last: Mapping[str, float] | None = None
        self._news: dict[str, object] | None = None
        self._changed = threading.Condition()
        self._over = self._warned = False
        self._thread = threading.Thread(target=self._work, name="trainjob-status", daemon=True)
        self._thread.start()

    def tell(self, share: float, seconds_left: float, metrics: Mapping[str, float]) -> None:
        """Tell that ``share`` of the work, 0 to 1, is done; metrics that are not finite are left out."""
        status: dict[str, object] = {
            "progressPercentage": int(100 * share),
            "estimatedRemainingSeconds": int(seconds_left),
            "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds"),
            "metrics": [
                {"name": name, "value": f"{value:.6g}"}
                for name, value in metrics.items()
                if math.isfinite(value)
            ],
        }
        with self._changed:
            self._news, self._last = status, metrics
            self._changed.notify()

    def finish(self) -> None:
        """Tell that training is over, perhaps before its last epoch; wait as long as two requests may take."""
        if self._last is not None:
            self.tell(1.0, 0.0, self._last)
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(2 * _SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news is not None or self._over)
                status, self._news = self._news, None
            if status is not None:
                self._send(status)
            with self._changed:
                if self._over and self._news is None:
                    return
                self._changed.wait_for(lambda: self._over, timeout=_SECONDS)

    def _send(self, status: Mapping[str, object]) -> None:
        try:
            with self._token.open("rb") as file:
                token = file.read(_TOKEN_BYTES).decode("ascii").strip()
            if not re.fullmatch(r"[!-~]+", token):
                raise ValueError("the token of this pod cannot be sent")  # urllib3's message would quote it
            pool = urllib3.PoolManager(
                ssl_context=ssl.create_default_context(cafile=str(self._authority)),
                retries=False,
                timeout=_SECONDS,
            )
            answer = pool.request(
                "POST",
                self._url,
                body=json.dumps({"trainerStatus": status}),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
                redirect=False,
                preload_content=False,
            )
            answer.close()
            if answer.status != 200:
                raise ValueError(f"it answered {answer.status}")
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "the TrainJob's status does not show the progress of this training, which goes on (%s: %s)",
                    urlsplit(self._url).hostname,
                    shown(str(error)),
                )


def job_status(environment: Mapping[str, str] = os.environ) -> JobStatus | None:
    """Whom to tell; None outside of a TrainJob, or where the Trainer does not ask for it."""
    url, authority, token = (
        environment.get(name, "") for name in (TRAINER_URL, TRAINER_AUTHORITY, TRAINER_TOKEN)
    )
    if not (url and authority and token):
        return None
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme != "https":
        log.warning("%s is not https://, so the token of this pod is not sent there", TRAINER_URL)
        return None
    return JobStatus(url, Path(authority), Path(token))


def watching(
    status: JobStatus | None,
    epochs: int,
    member: int,
    members: int,
    also: Callable[[HistoryRow], None] | None,
) -> Callable[[HistoryRow], None] | None:
    """What to call with each finished epoch of a member; ``also`` alone if there is no status to tell.

    Args:
        epochs: most that a member trains.
        member: its number, from 0.
        members: how many there are.
        also: is called with the epoch, too.
    """
    if status is None:
        return also

    def watch(row: HistoryRow) -> None:
        left = epochs - row["epoch"] + epochs * (members - member - 1)
        share = max(0.0, 1 - left / (epochs * members))
        status.tell(share, max(0.0, left * row["seconds"]), {name: row[name] for name in _TOLD})
        if also is not None:
            also(row)

    return watch
