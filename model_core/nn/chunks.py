"""Chunks of time steps on a CPU: small enough to stay in cache, several at a time, one thread for each.

torch's own threads share every operation out, and wait for each other at its end. An operation on a chunk takes some
hundred microseconds, so on two cores a production step gained 15 % from the second one. Here a thread takes whole
chunks, hundreds of operations long, and does not wait before it is done; the sums of a chunk are those of one thread.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

STEPS_PER_CHUNK = 256
"""Time steps handled together on a CPU: an edge tensor [256, 13, 13, 16] is 2.8 MB and stays in cache.

With one chunk for all 4,000 steps of a batch (43 MB a tensor) a whole training step took 1.4 times as long;
512 is as fast as 256 (docs/log.md).
"""
FEW_STEPS = 80
"""The least that a chunk has, if there are that many. A small batch is cut into twelve rather than into pieces of the
length above: several threads have as much to do, and the memory-optimized configuration keeps to its budget."""

T = TypeVar("T")


def map_chunks(
    function: Callable[..., T], x: Float[Tensor, "n ..."], *beside: Sequence[Tensor]
) -> Iterator[T]:
    """``function`` of each chunk of the first axis of ``x``, and of its own item of ``beside``; in the chunks' order.

    As many chunks at a time as torch has threads, each with one thread, under the caller's autocast and gradient mode;
    what ``function`` writes must lie in rows of its own chunk. On a GPU and for a compiler, which want many steps at
    once, all of ``x`` is one chunk.
    """
    if x.is_cuda or torch.compiler.is_compiling():
        return map(function, [slice(0, len(x))], *beside)
    length = min(STEPS_PER_CHUNK, max(FEW_STEPS, len(x) // 12))
    chunks = [slice(start, start + length) for start in range(0, len(x), length)]
    threads = torch.get_num_threads()
    if threads == 1 or len(chunks) == 1:
        return map(function, chunks, *beside)
    return _workers(threads).map(partial(_under, _Modes.of_caller(), function), chunks, *beside)


@dataclass(frozen=True)
class _Modes:
    """What torch keeps for each thread apart and a chunk's operations depend on."""

    gradients: bool
    inference: bool
    autocast: bool
    dtype: torch.dtype

    @classmethod
    def of_caller(cls) -> "_Modes":
        return cls(
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
        )

    @contextmanager
    def entered(self) -> Iterator[None]:
        with (
            torch.inference_mode(self.inference),
            torch.set_grad_enabled(self.gradients),
            torch.autocast("cpu", self.dtype, self.autocast),
        ):
            yield


def _under(modes: _Modes, function: Callable[..., T], *inputs: object) -> T:
    with modes.entered():
        return function(*inputs)


_pools: dict[int, ThreadPoolExecutor] = {}
"""By number of threads; a program that does not change its mind has one."""


def _workers(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        pool, all_started = ThreadPoolExecutor(threads, "pgat-chunks"), Barrier(threads)

        def start(_: int) -> None:
            torch.get_num_threads()  # at the first question torch gives a thread as many as the program has
            torch.set_num_threads(1)
            all_started.wait()

        list(pool.map(start, range(threads)))
        torch.set_num_threads(threads)  # what threads of the program that start later have
        _pools[threads] = pool
    return _pools[threads]


# A forked process has none of these threads.
os.register_at_fork(after_in_child=_pools.clear)
