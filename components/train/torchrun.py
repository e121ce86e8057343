"""Training in several processes of this machine, started and restarted by ``torchrun``.

They meet in files of a folder that only this user can read. torchrun's own ``--standalone`` would listen on every
interface, and unpickle what anybody sends there.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import torch

from components.train.termination import leaving_on_termination
from components.train.worker import Job
from model_core import errors
from model_core.artifacts import read_json
from model_core.disk import temporary_folder
from model_core.distributed import MEETING_FOLDER
from model_core.errors import TrainingError
from model_core.training.threads import default_threads

# By default torchrun opens a TCP store that listens on every interface, and keeps it for all restarts, where a new
# team finds the addresses of the dead one.
NEW_STORE_PER_TEAM = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def run_torchrun(job: Job, processes: str, max_restarts: int) -> None:
    """Start ``components.train.worker`` in each process and wait for all of them.

    Raises:
        PgatError: that of the first process.
        TrainingError: the processes died without one.
    """
    with temporary_folder() as scratch:
        file, failure = scratch / "job.json", scratch / "failure.json"
        file.write_text(job.model_copy(update={"failure": str(failure)}).model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--local-addr=127.0.0.1"]
        command += [
            "--rdzv-backend=c10d",
            "--rdzv-conf=store_type=file",
            f"--rdzv-endpoint={scratch}/launcher",
        ]
        command += [f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
        command += ["-m", "components.train.worker", str(file)]
        count = torch.cuda.device_count() if processes == "gpu" else int(processes)
        # Without it torchrun gives each process one thread.
        threads = {"OMP_NUM_THREADS": str(default_threads(count))}
        code = _run_to_its_end(
            command, os.environ | threads | NEW_STORE_PER_TEAM | {MEETING_FOLDER: str(scratch)}
        )
        if code == 0:
            return
        if failure.exists():
            told: Any = read_json(failure)
            raise getattr(errors, told["kind"])(told["message"])
        raise TrainingError(f"torchrun ended with exit code {code}; the log above says which process failed")


def _run_to_its_end(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command; if this process is terminated, its processes are too, and may save before they leave."""
    process = subprocess.Popen(command, env=environment)
    try:
        with leaving_on_termination():
            return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
