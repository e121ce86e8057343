"""Several processes that train as one: each takes its share of the windows, all agree on the sums.

``torchrun`` (or a Kubeflow TrainJob) starts the processes and tells each its RANK, LOCAL_RANK and
WORLD_SIZE; without it there is a team of one. ``batch_size`` counts the windows of all processes together,
so that the number of devices changes neither the losses nor the learning rate.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_T = TypeVar("_T")


@dataclass(frozen=True)
class Team:
    """The processes of a run as one of them sees it; methods that exchange are called by all of them."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    """Where sums are exchanged."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """Every ``size``-th index, from ``rank`` on: the shares cover all, none is padded."""
        return indices[self.rank :: self.size]

    def total(self, values: Tensor) -> Tensor:
        """Element-wise sum over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether one of the processes raised it."""
        if self.size == 1:
            return list(flags)
        return [
            count > 0
            for count in self.total(torch.tensor(flags, dtype=torch.int32, device=self.device)).tolist()
        ]

    def collect(self, value: _T) -> list[_T]:
        """The value of each process, by rank."""
        gathered: list[_T] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(gathered, value)
        return gathered

    def from_leader(self, value: _T) -> _T:
        """The value that the leading process gave."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def replica(self, model: nn.Module) -> nn.Module:
        """The model to call in training: its gradients are averaged over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def accumulating(self, replica: nn.Module) -> AbstractContextManager[object]:
        """Within it gradients stay at home: for all micro-batches of a step but the last."""
        return replica.no_sync() if isinstance(replica, DistributedDataParallel) else nullcontext()


ALONE = Team()
"""The team of a process that trains by itself."""


@contextmanager
def team_of_environment(device_kind: str) -> Iterator[Team]:
    """Join the other processes that torchrun started, over nccl for ``cuda`` and gloo for ``cpu``."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    device = "cpu"
    if device_kind == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device_kind == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
