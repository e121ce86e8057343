"""Training in several processes of this machine, started and restarted by ``torchrun``."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from components.train.termination import leaving_on_termination
from components.train.worker import Job
from model_core import errors
from model_core.artifacts import read_json
from model_core.errors import TrainingError

# By default torchrun keeps one store for all restarts, and a new team finds the addresses of the dead one in it.
NEW_STORE_PER_TEAM = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def run_torchrun(job: Job, processes: str, max_restarts: int) -> None:
    """Start ``components.train.worker`` in each process and wait for all of them.

    Raises:
        PgatError: that of the first process.
        TrainingError: the processes died without one.
    """
    with tempfile.TemporaryDirectory(prefix="pgat-") as scratch:
        file, failure = Path(scratch) / "job.json", Path(scratch) / "failure.json"
        file.write_text(job.model_copy(update={"failure": str(failure)}).model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
        command += ["-m", "components.train.worker", str(file)]
        code = _run_to_its_end(command)
        if code == 0:
            return
        if failure.exists():
            told: Any = read_json(failure)
            raise getattr(errors, told["kind"])(told["message"])
        raise TrainingError(f"torchrun ended with exit code {code}; the log above says which process failed")


def _run_to_its_end(command: list[str]) -> int:
    """Run a command; if this process is terminated, its processes are too, and may save before they leave."""
    process = subprocess.Popen(command, env=os.environ | NEW_STORE_PER_TEAM)
    try:
        with leaving_on_termination():
            return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
