"""Claims that every part of the model must meet. What they are and what they are fed stands in ``parts.py``."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from tests.nn.kit import (
    assert_same,
    awake,
    differs,
    map_tensors,
    only,
    saved_for_backward,
    scalar_of,
    tensors_of,
)
from tests.nn.parts import COMBINER, PARTS, D, N, Part, edges, numbers


@pytest.fixture(params=PARTS, name="part")
def _part(request: pytest.FixtureRequest) -> Part:
    torch.manual_seed(1)
    return PARTS[request.param]


def parts_with(attribute: str) -> list[str]:
    """Names of the parts that declare this."""
    return [name for name, part in PARTS.items() if getattr(part, attribute) not in (None, False)]


def prepared(name: str) -> tuple[Part, nn.Module, list[Any]]:
    torch.manual_seed(1)
    part = PARTS[name]
    return part, awake(part.build()).eval(), list(part.inputs(2, 16))


def test_a_shape_that_was_not_declared_is_refused() -> None:
    """Shapes stand in the signatures and are checked whenever the tests run."""
    combiner = CelestialGraphCombiner(3, D, 2, COMBINER)
    with pytest.raises(Exception, match="Type-check error"):
        combiner(edges(2, 16), numbers(2, 17, D), numbers(2, D))


def test_a_sample_does_not_depend_on_its_batch_mates(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(3, 16)
    assert_same(only(1, module(*inputs)), only(0, module(*only(1, inputs))))


def test_every_parameter_receives_a_gradient(part: Part) -> None:
    module = awake(part.build())
    scalar_of(module(*part.inputs(3, 16))).backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]
    assert not dead


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_gradients_are_finite(part: Part, autocast: bool) -> None:
    module, inputs = awake(part.build()), part.inputs(2, 16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = scalar_of(module(*inputs))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_two_evaluations_are_equal(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(2, 16)
    assert_same(module(*inputs), module(*inputs), tolerance=0.0)


def test_the_state_restores_the_part(part: Part) -> None:
    module, inputs = awake(part.build()).eval(), part.inputs(2, 16)
    copy = part.build().eval()
    copy.load_state_dict(module.state_dict(), strict=True)
    assert_same(module(*inputs), copy(*inputs), tolerance=0.0)


@torch.no_grad()
def test_the_same_weights_serve_any_number_of_steps(part: Part) -> None:
    module = awake(part.build()).eval()
    for steps in (16, 37, 2048):
        assert all(tensor.isfinite().all() for tensor in tensors_of(module(*part.inputs(1, steps))))


def test_memory_grows_linearly_with_the_steps(part: Part) -> None:
    """What is kept for the backward pass: an S × S tensor would make the second growth four times the first."""
    module = awake(part.build())
    small, middle, large = (saved_for_backward(module, part.inputs(1, steps)) for steps in (64, 128, 256))
    assert large - middle <= 2.05 * (middle - small)


@pytest.mark.parametrize("name", parts_with("causal"))
def test_no_step_sees_a_later_one(name: str) -> None:
    _, module, inputs = prepared(name)
    early = 10

    def perturbed(tensor: Tensor) -> Tensor:
        if tensor.dim() < 2 or tensor.shape[1] != 16 or not tensor.is_floating_point():
            return tensor
        return torch.cat([tensor[:, :early], tensor[:, early:].flip(1)], dim=1)

    before, after = module(*inputs), module(*map_tensors(perturbed, tuple(inputs)))
    assert_same(
        map_tensors(lambda tensor: tensor[:, :early], before),
        map_tensors(lambda tensor: tensor[:, :early], after),
    )


@pytest.mark.parametrize("name", parts_with("adjacency"))
def test_another_graph_gives_another_result(name: str) -> None:
    part, module, inputs = prepared(name)
    before = module(*inputs)
    assert part.adjacency is not None
    inputs[part.adjacency] = map_tensors(lambda tensor: tensor.flip(-1), inputs[part.adjacency])
    assert differs(before, module(*inputs))


@pytest.mark.parametrize("name", parts_with("bodies"))
def test_swapping_two_bodies_changes_more_than_the_order(name: str) -> None:
    part, module, inputs = prepared(name)
    before = module(*inputs)
    assert part.bodies is not None
    inputs[part.bodies] = map_tensors(swapped, inputs[part.bodies])
    assert differs(before, map_tensors(swapped, module(*inputs)))


def swapped(tensor: Tensor) -> Tensor:
    """The first two bodies change places on every axis of bodies."""
    order = torch.tensor([1, 0, *range(2, N)])
    for axis, size in enumerate(tensor.shape):
        if size == N:
            tensor = tensor.index_select(axis, order)
    return tensor
