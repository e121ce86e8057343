"""What training does when a step goes wrong: too little memory, or numbers that are not finite."""

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_core.data.windows import WindowSet
from model_core.distributed import ProcessGroup
from model_core.errors import TrainingError
from model_core.results.record import write_result
from model_core.results.training import NonFiniteStep
from model_core.training.memory import MemoryLog
from model_core.training.state import TrainState
from model_core.training.step import StepResult

log = logging.getLogger("pgat.train")


def step_within_memory(
    attempt: Callable[[], StepResult],
    state: TrainState,
    memory: MemoryLog,
    batch_size: int,
    forget: Callable[[], None] | None = None,
) -> StepResult:
    """Take a step; if the memory is not enough, cut batches in half once and take it again.

    The halves are accumulated, so that the step stays the mean over the same windows.

    Args:
        forget: frees what attempts keep on the device from one step to the next.

    Raises:
        TrainingError: the memory is not enough for half a batch either, or others wait for this process.
    """
    while True:
        try:
            return attempt()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            memory.out_of_memory(str(error))
            if state.progress.micro_batches > 1 or batch_size == 1 or state.group.size > 1:
                raise TrainingError(
                    f"not enough memory for a batch ({_first_line(error)}; see {memory.path}); set a smaller "
                    "training.batch_size with more training.gradient_accumulation_steps, or "
                    "model.gradient_checkpointing: true"
                ) from error
        # Only here, after the except block, are the failed step's tensors free.
        # Gradients of the micro-batches before the one that failed would count twice.
        state.optimizer.zero_grad(set_to_none=True)
        if forget is not None:
            forget()
        torch.cuda.empty_cache()
        state.progress.micro_batches = 2
        log.warning("not enough memory for batches of %d: from now on two halves, accumulated", batch_size)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the CUDA or the CPU allocator gave up; the latter has no type of error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def dump_nonfinite(
    folder: Path, windows: WindowSet, indices: Tensor, result: StepResult, where: str, group: ProcessGroup
) -> str:
    """Write the windows, losses and gradient norms of a bad step; returns its range of dates in words."""
    days = windows.batch(indices).dates.cpu().numpy().astype("datetime64[D]")
    dates = f"windows of {np.min(days)} … {np.max(days)}"
    if group.is_main:
        content = {
            "where": where,
            "windows": indices.tolist(),
            "anchor_dates": [str(day) for day in days[:, 0]],
            "losses": {name: _finite_or_text(value) for name, value in result.losses.items()},
            "gradient_norm": _finite_or_text(result.gradient_norm),
            "gradient_norms_by_part": {
                name: _finite_or_text(norm) for name, norm in result.norms_by_part.items()
            },
        }
        write_result(folder, NonFiniteStep.model_validate(content))
    return dates


def _finite_or_text(value: float) -> float | str:
    """``"nan"`` or ``"inf"`` as text: which of them it was may say why."""
    return value if math.isfinite(value) else str(value)


def _first_line(error: RuntimeError) -> str:
    return str(error).splitlines()[0]
