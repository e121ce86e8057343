"""Steps recorded once as CUDA graphs and replayed.

A step of the production model is some thousand small kernels, and a GPU does most of them faster than Python asks for
the next. A graph holds all of them, from gathering the windows to the update of the weights, and is launched at once.
Everything that changes from step to step is read from memory when the graph runs: the windows' indices and the
learning rate from two tensors that are filled before, random numbers from torch's generator, which counts on as it
would have without a graph. So a recorded step does what a plain one does, and a run may go on with the other kind.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.windows import WindowSet
from model_core.distributed import ProcessGroup
from model_core.training.precision import Precision
from model_core.training.state import TrainState
from model_core.training.step import LaunchedStep, Loss, StepResult, launch_step

log = logging.getLogger("pgat.train")
PLAIN_STEPS = 3
"""Before a recording: libraries choose their kernels and torch makes the optimizer's state in the first ones."""

Shape = tuple[int, ...]
"""Windows of each micro-batch of a step; steps of another shape need another graph."""


class StepGraphs:
    """Takes optimizer steps, from the fourth of each shape on as a replay of a recording.

    Args:
        state: the model on a CUDA device, trained by this process alone.
        windows: on the same device.
        clip_norm: as for ``launch_step``.
    """

    def __init__(
        self,
        state: TrainState,
        windows: WindowSet,
        loss: Loss,
        precision: Precision,
        clip_norm: float | None,
    ) -> None:
        self._state = state
        self._windows = windows
        self._loss = loss
        self._precision = precision
        self._clip_norm = clip_norm
        self._stream = torch.cuda.Stream(windows.device)
        self._seen: Counter[Shape] = Counter()
        self._recordings: dict[Shape, _Recording] = {}

    def step(self, micro_batches: Sequence[Tensor]) -> StepResult:
        """``optimizer_step`` with these micro-batches."""
        shape = tuple(map(len, micro_batches))
        recording = self._recordings.get(shape)
        if recording is None and self._seen[shape] >= PLAIN_STEPS:
            recording = self._recordings[shape] = self._record(shape)
        self._seen[shape] += 1
        # All steps on one stream of their own: nothing can be recorded on the default one.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            if recording is None:
                result = self._launch(micro_batches).read(self._state.model)
            else:
                result = recording.replay(self._state, torch.cat(list(micro_batches)))
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def forget(self) -> None:
        """Drop the recordings and the memory they hold; steps of each shape start plain again."""
        self._recordings.clear()
        self._seen.clear()

    def _launch(self, micro_batches: Sequence[Tensor]) -> LaunchedStep:
        return launch_step(
            self._state, self._windows, micro_batches, self._loss, self._precision, self._clip_norm
        )

    def _record(self, shape: Shape) -> "_Recording":
        device = self._windows.device
        indices = torch.zeros(sum(shape), dtype=torch.int64, device=device)
        rate = torch.zeros((), device=device)
        graph = torch.cuda.CUDAGraph()
        others = list(self._recordings.values())
        # Graphs never run at the same time, so that they can share their memory.
        pool = others[0].graph.pool() if others else None
        try:
            with _recordable(self._state.optimizer, rate), torch.cuda.graph(graph, pool, self._stream):
                launched = self._launch(indices.split(list(shape)))
        except RuntimeError as error:
            # Ending a recording that ran out of memory fails in its turn; what matters is the first.
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from None
            raise
        gradients = [weight.grad for weight in self._state.model.parameters()]
        self._state.optimizer.zero_grad(set_to_none=True)
        log.info("recorded a step of %s windows as a CUDA graph", " + ".join(map(str, shape)))
        return _Recording(graph, indices, rate, launched, gradients)


class _Recording:
    """A graph and the memory that it reads from and writes to."""

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        indices: Tensor,
        rate: Tensor,
        launched: LaunchedStep,
        gradients: list[Tensor | None],
    ) -> None:
        self.graph = graph
        self._indices = indices
        self._rate = rate
        self._launched = launched
        self._gradients = gradients

    def replay(self, state: TrainState, indices: Tensor) -> StepResult:
        """Take the recorded step with these windows and the optimizer's present learning rate."""
        (group,) = state.optimizer.param_groups
        self._rate.fill_(group["lr"])
        self._indices.copy_(indices)
        self.graph.replay()
        for weight, gradient in zip(state.model.parameters(), self._gradients, strict=True):
            weight.grad = gradient
        return self._launched.read(state.model)


def can_record(
    settings: TrainingSettings, model: ModelSettings, precision: Precision, group: ProcessGroup
) -> bool:
    """Whether this run's steps can be recorded, and are meant to be.

    Several processes exchange gradients in between, ``reduce-overhead`` records for itself, and what is computed
    again in the backward pass must be given the random numbers of the first time by the host.
    """
    return (
        settings.cuda_graph
        and precision.device.type == "cuda"
        and group.size == 1
        and settings.compile != "reduce-overhead"
        and not model.gradient_checkpointing
    )


@contextmanager
def _recordable(optimizer: torch.optim.Optimizer, rate: Tensor) -> Iterator[None]:
    """While a step is recorded, the optimizer reads its learning rate from the device."""
    (group,) = optimizer.param_groups
    before = {name: group[name] for name in ("lr", "capturable")}
    group.update(lr=rate, capturable=True)
    try:
        yield
    finally:
        group.update(before)
