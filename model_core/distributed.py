"""Several processes that train as one: each takes its share of the windows, all agree on the sums.

``torchrun`` (or a Kubeflow TrainJob) starts the processes and tells each its RANK, LOCAL_RANK and
WORLD_SIZE; without them a process trains by itself. ``batch_size`` counts the windows of all processes together,
so that the number of devices changes neither the losses nor the learning rate.

Processes of one machine meet in a folder that only their user can read (``MEETING_FOLDER``) and talk over the
loopback interface: nobody else can reach them. On several machines they meet over TCP, which torch does not protect;
there the cluster's network has to. What they send each other holds tensors and plain values only.
"""

import io
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_T = TypeVar("_T")
MEETING_FOLDER = "PGAT_MEETING_FOLDER"
"""Variable that names the folder where the processes of one machine meet; unset on several machines."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run as one of them sees it; methods that exchange are called by all of them."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    """Where sums are exchanged."""

    @classmethod
    @contextmanager
    def from_env(cls, device_kind: str) -> Iterator[Self]:
        """Join the other processes that torchrun started, over nccl for ``cuda`` and gloo for ``cpu``."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            yield cls()
            return
        device = "cpu"
        if device_kind == "cuda":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device_kind == "cuda" else "gloo", **_meeting(size))
        try:
            yield cls(dist.get_rank(), size, device)
        finally:
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def shard(self, indices: Tensor) -> Tensor:
        """Every ``size``-th index, from ``rank`` on: the shards cover all, none is padded."""
        return indices[self.rank :: self.size]

    def all_reduce_sum(self, values: Tensor) -> Tensor:
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
            for count in self.all_reduce_sum(
                torch.tensor(flags, dtype=torch.int32, device=self.device)
            ).tolist()
        ]

    def all_gather(self, value: _T) -> list[_T]:
        """The value of each process, by rank; tensors and plain values only."""
        if self.size == 1:
            return [value]
        # Lengths first, then the bytes filled up to the longest: torch gathers tensors of one shape only.
        packed = _packed(value).to(self.device)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(packed)], device=self.device))
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8, device=self.device)
        padded[: len(packed)] = packed
        gathered = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(gathered, padded)
        return [_unpacked(each[: int(size)]) for each, size in zip(gathered, sizes, strict=True)]

    def broadcast(self, value: _T) -> _T:
        """The value that the main process gave, on the CPU; tensors and plain values only."""
        if self.size == 1:
            return value
        packed = _packed(value if self.is_main else None).to(self.device)
        size = torch.tensor([len(packed)], device=self.device)
        dist.broadcast(size, src=0)
        if not self.is_main:
            packed = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        dist.broadcast(packed, src=0)
        return _unpacked(packed)

    def replica(self, model: nn.Module) -> nn.Module:
        """The model to call in training: its gradients are averaged over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def accumulating(self, replica: nn.Module) -> AbstractContextManager[object]:
        """Within it gradients are not exchanged: for all micro-batches of a step but the last."""
        return replica.no_sync() if isinstance(replica, DistributedDataParallel) else nullcontext()


SINGLE_PROCESS = ProcessGroup()
"""The group of a process that trains by itself."""


def _meeting(size: int) -> dict[str, Any]:
    """Where ``init_process_group`` meets: in a file, under another name after each restart."""
    folder = os.environ.get(MEETING_FOLDER)
    if folder is None:
        return {}
    for library in ("GLOO", "NCCL"):
        os.environ[f"{library}_SOCKET_IFNAME"] = _loopback()
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return {
        "init_method": (Path(folder) / f"group-{attempt}").resolve().as_uri(),
        "rank": int(os.environ["RANK"]),
        "world_size": size,
    }


def _loopback() -> str:
    """Name of the interface with 127.0.0.1: ``lo`` on Linux, ``lo0`` elsewhere."""
    return next(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(each.family == socket.AF_INET and each.address == "127.0.0.1" for each in addresses)
    )


def _packed(value: object) -> Tensor:
    """[bytes] uint8."""
    file = io.BytesIO()
    torch.save(value, file)
    return torch.frombuffer(file.getbuffer(), dtype=torch.uint8)


def _unpacked(content: Tensor) -> Any:
    """The inverse of ``_packed``; code that somebody put in does not run."""
    return torch.load(io.BytesIO(content.cpu().numpy().tobytes()), map_location="cpu", weights_only=True)
