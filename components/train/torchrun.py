"""Training in several processes of this machine, started and restarted by ``torchrun``.

They meet in files of a folder that only this user can read. torchrun's own ``--standalone`` would listen on every
interface, and unpickle whatever is sent there.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from components.train.failure import error_in, refusal_in
from components.train.job import Job
from components.train.step import headline_of
from components.train.termination import leaving_on_termination
from model_core.disk import temporary_folder
from model_core.distributed import MEETING_FOLDER
from model_core.errors import SettingsError, TrainingError
from model_core.training.threads import default_threads

_LOOK_SECONDS = 2.0
_REFUSED_SECONDS = 20.0
"""How long the other processes may take to leave when one was refused."""
NEW_STORE_PER_RESTART = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""By default torchrun opens a TCP store that listens on every interface, and keeps it for all restarts, where new
processes find the addresses of the dead ones."""


@dataclass(frozen=True)
class TorchrunLauncher:
    """Several processes of this machine."""

    processes: int | Literal["gpu"] = "gpu"
    """How many, or one for each GPU."""
    max_restarts: int = 3
    """How often all of them are started again after one died."""

    def run(self, job: Job) -> dict[str, float]:
        """Start ``components.train.worker`` in each process and wait for all of them.

        Raises:
            SettingsError: one process for each GPU is asked for, and there is none.
            TrainingError: the processes died without an error of their own.
            PgatError: that of the first process.
        """
        if self.processes == "gpu" and not torch.cuda.is_available():
            raise SettingsError(
                "the launcher torchrun starts a process per GPU, and torch sees none here; "
                "set training.launcher.processes to a number",
                keys=["training.launcher.processes"],
            )
        count = torch.cuda.device_count() if self.processes == "gpu" else self.processes
        with temporary_folder() as scratch:
            file, failure = scratch / "job.json", scratch / "failure.json"
            sent = job.model_copy(update={"failure": str(failure)})
            file.write_text(sent.model_dump_json(), encoding="utf-8")
            # Without it torchrun gives each process one thread.
            threads = {"OMP_NUM_THREADS": str(default_threads(count))}
            meeting = {MEETING_FOLDER: str(scratch)}
            environment = os.environ | threads | NEW_STORE_PER_RESTART | meeting
            code = _wait(self._command(scratch, file), environment, failure)
            if (error := error_in(failure) if code else refusal_in(failure)) is not None:
                raise error
        if code:
            raise TrainingError(
                f"torchrun ended with exit code {code}; the log above shows which process failed"
            )
        return headline_of(Path(job.model))

    def _command(self, scratch: Path, file: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes=1", "--local-addr=127.0.0.1", "--rdzv-backend=c10d", "--rdzv-conf=store_type=file"),
            f"--rdzv-endpoint={scratch}/launcher",
            *(f"--nproc-per-node={self.processes}", f"--max-restarts={self.max_restarts}"),
            *("-m", "components.train.worker", str(file)),
        ]


def _wait(command: list[str], environment: Mapping[str, str], failure: Path) -> int:
    """Run a command; if this process is terminated, its processes are too, and may save before they leave.

    So are those that wait for one that was refused: not every way to exchange sums notices that it is gone.
    """
    process = subprocess.Popen(command, env=environment)
    try:
        with leaving_on_termination():
            waited = 0.0
            while waited < _REFUSED_SECONDS:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(_LOOK_SECONDS)
                waited += _LOOK_SECONDS if refusal_in(failure) is not None else 0.0
            process.terminate()
            return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
