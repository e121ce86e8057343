"""``memory_diagnostics.log``: one JSON object a line, at every stage and every few batches.

Sizes are MiB. ``process_*`` is this process, ``system_*`` the machine, ``cuda_*`` the device's
allocator (absent without one).
"""

import resource
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from model_core.checkpoints.control import MemoryLine, repair_log
from model_core.training.logs import LineLog

_MIB = 1024 * 1024
MIN_EPOCHS = 4
"""Ends of epochs that a slope needs: with fewer, one garbage collection more or less decides on its sign."""


@contextmanager
def memory_log(path: Path, device: torch.device, interval_batches: int) -> Iterator["MemoryLog"]:
    """An open log; an exception that leaves the block is its last line.

    Args:
        path: of the log; a run that goes on appends to what is there.
        device: whose allocator is looked at, too.
        interval_batches: batches between two lines within an epoch.
    """
    with closing(MemoryLog(path, device, interval_batches)) as log:
        try:
            yield log
        except BaseException as error:
            log.stage("exception", error=f"{type(error).__name__}: {error}")
            raise


class MemoryLog:
    """Appends to the log; every line is flushed, so that a killed run leaves what it saw."""

    def __init__(self, path: Path, device: torch.device, interval_batches: int) -> None:
        self.path = path
        repair_log(path, MemoryLine)
        self._log = LineLog(path)
        self._process = psutil.Process()
        self._device = device
        self._interval = interval_batches
        self._started = time.monotonic()
        self.peak_mb = 0.0
        """Largest resident size of the process (CUDA: largest allocation on the device) so far."""
        self._epoch_ends: list[float] = []

    def close(self) -> None:
        """No more lines."""
        self._log.close()

    def stage(self, stage: str, **details: Any) -> None:
        """Log the memory at a stage of the run: device, data, model, optimizer, epoch_start, …"""
        line: dict[str, Any] = (
            {"stage": stage, "seconds": round(time.monotonic() - self._started, 3)} | details | self.now()
        )
        self.peak_mb = line.get("cuda_peak_allocated_mb", line["process_peak_rss_mb"])
        if stage == "epoch_end":
            self._epoch_ends.append(line["process_rss_mb"])
        self._log.write(line)

    def batches(self, epoch: int, before: int, now: int) -> None:
        """Log every ``interval_batches`` batches of an epoch, once the step that takes one more is done.

        Args:
            before, now: batches of the epoch that were done before this step, and with it.
        """
        if now // self._interval > before // self._interval:
            self.stage("batch", epoch=epoch, batch=now)

    def out_of_memory(self, message: str) -> None:
        """Log a failed allocation, with the CUDA allocator's own summary where there is one."""
        on_cuda = self._device.type == "cuda"
        summary = {"cuda_summary": torch.cuda.memory_summary(self._device)} if on_cuda else {}
        self.stage("out_of_memory", error=message, **summary)

    def now(self) -> dict[str, float]:
        """Memory of the process, the machine and the device at this moment, in MiB."""
        process, system = self._process.memory_info(), psutil.virtual_memory()
        sizes = {
            "process_rss_mb": process.rss,
            "process_peak_rss_mb": _peak_rss_bytes(),
            "process_vms_mb": process.vms,
            "system_total_mb": system.total,
            "system_available_mb": system.available,
            "system_used_mb": system.used,
        }
        if self._device.type == "cuda":
            sizes |= {
                "cuda_allocated_mb": torch.cuda.memory_allocated(self._device),
                "cuda_reserved_mb": torch.cuda.memory_reserved(self._device),
                "cuda_peak_allocated_mb": torch.cuda.max_memory_allocated(self._device),
                "cuda_peak_reserved_mb": torch.cuda.max_memory_reserved(self._device),
            }
        return {name: round(size / _MIB, 1) for name, size in sizes.items()}

    def growth_mb_per_epoch(self) -> float | None:
        """Slope of the resident size over the ends of epochs, without the first (caches fill there).

        ``None`` with fewer than ``MIN_EPOCHS`` epochs to look at.
        """
        sizes = torch.tensor(self._epoch_ends[1:], dtype=torch.float64)
        if len(sizes) < MIN_EPOCHS:
            return None
        epochs = torch.arange(len(sizes), dtype=torch.float64)
        centered = epochs - epochs.mean()
        # Least squares: Σ (e − ē) size / Σ (e − ē)².
        return float((centered * sizes).sum() / centered.square().sum())


def _peak_rss_bytes() -> int:
    """The kernel's own maximum: between two lines of the log a step needs more than at either of them.

    ``ru_maxrss`` starts with the size of the process that started this one, so Linux's VmHWM is better.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
