"""The number of CPU threads that torch computes with."""

import logging
import os

import torch

from model_core.processors import usable_processors

log = logging.getLogger("pgat.threads")


def use_threads(asked: int | None = None) -> None:
    """Compute with ``asked`` threads; ``None``: with ``default_threads()``. Says how many."""
    torch.set_num_threads(default_threads() if asked is None else asked)
    log.info("%d CPU thread(s)", torch.get_num_threads())


def default_threads(processes: int = 1) -> int:
    """Threads of each of ``processes`` that share this machine.

    ``OMP_NUM_THREADS`` decides if it is set. Else torch's own choice, one a core that the process may run on, or fewer
    where its container has a CPU limit, of which torch knows nothing.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, min(torch.get_num_threads(), usable_processors()) // processes)
