"""Chunks that several threads compute at a time are those that one thread computes in turn."""

import os
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from model_core.config.model import CombinerSettings
from model_core.nn import chunks
from model_core.nn.chunks import map_chunks
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from model_core.nn.node_attention import attend_nodes
from model_core.nn.recomputation import chunked_checkpoint
from tests.nn.kit import scalar_of

STEPS = 23


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Chunks of four steps, the last one of three."""
    monkeypatch.setattr(chunks, "STEPS_PER_CHUNK", 4)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def combined() -> list[Tensor]:
    """Result and gradients of what is recomputed chunk by chunk, attention among nodes within it."""
    combiner = CelestialGraphCombiner(3, 8, 2, CombinerSettings(edge_dim=4))
    inputs = [torch.randn(STEPS, 13, 13, 3, requires_grad=True), torch.randn(STEPS, 4, requires_grad=True)]
    (result,) = chunked_checkpoint(combiner, combiner.combine, *inputs)
    scalar_of(result).backward()
    return [result, *(x.grad for x in (*inputs, *combiner.parameters()) if x.grad is not None)]


def attended() -> list[Tensor]:
    """Result and gradients of attention among nodes, cut into chunks itself."""
    shapes = (STEPS, 4, 8), (STEPS, 5, 16), (STEPS, 4, 5), (2,)
    queries, memory, bias, slope = inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    read = attend_nodes(queries, memory, 2, bias, slope)
    scalar_of(read).backward()
    return [read, *(x.grad for x in inputs if x.grad is not None)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("compute", [combined, attended])
def test_results_and_gradients_are_those_of_one_thread_to_the_bit(
    compute: Callable[[], list[Tensor]], precision: str
) -> None:
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            found.append(compute())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, atol=0, rtol=0)


def test_every_thread_computes_alone_and_as_its_caller_does() -> None:
    torch.set_num_threads(3)

    def modes(chunk: slice) -> tuple[int, int, bool, bool, bool, torch.dtype]:
        return (
            chunk.start,
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
        )

    with torch.inference_mode(), torch.autocast("cpu", torch.float16):
        quiet = list(map_chunks(modes, torch.zeros(9)))
    assert quiet == [(start, 1, False, True, True, torch.float16) for start in (0, 4, 8)]
    loud = list(map_chunks(modes, torch.zeros(9)))
    assert loud == [(start, 1, True, False, False, torch.bfloat16) for start in (0, 4, 8)]
    assert torch.get_num_threads() == 3


def test_an_error_in_one_chunk_is_the_callers() -> None:
    torch.set_num_threads(2)

    def fail(chunk: slice) -> None:
        if chunk.start == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_chunks(fail, torch.zeros(9)))


def test_a_forked_process_starts_threads_of_its_own() -> None:
    torch.set_num_threads(2)
    expected = [0, 4, 8]
    assert list(map_chunks(lambda chunk: chunk.start, torch.zeros(9))) == expected
    child = os.fork()
    if child == 0:
        same = list(map_chunks(lambda chunk: chunk.start, torch.zeros(9))) == expected
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
