"""The model of today is the model of yesterday: same parameters, same losses. ``make golden`` rewrites."""

import json
from collections.abc import Callable

import pytest
import torch

from model_core.build import build_model
from model_core.config.model import ModelSettings
from tests.nn.kit import SMALL, float64_by_default, make_inputs, make_window

STEPS = 30
TOLERANCE = 1e-9
"""Relative. In float64 other processors and other numbers of threads change the sixteenth digit of these losses;
what training could make of that in thirty steps is far below the ninth, and any change of the model far above."""


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        (ModelSettings(), "state_dict_keys.txt"),
        (ModelSettings(kind="enhanced_pgat"), "state_dict_keys_enhanced_pgat.txt"),
    ],
    ids=lambda given: given.kind if isinstance(given, ModelSettings) else "",
)
def test_parameters_keep_their_names_shapes_and_order(
    golden: Callable[[str, str], str], settings: ModelSettings, file: str
) -> None:
    """The order, too: an optimizer's state knows its parameters by number."""
    model = build_model(settings, make_inputs(seq_len=250, pred_len=10))
    keys = "".join(f"{name} {list(value.shape)}\n" for name, value in model.state_dict().items())
    assert keys == golden(file, keys)


def test_thirty_seeded_steps_give_the_same_losses(golden: Callable[[str, str], str]) -> None:
    with float64_by_default():
        losses = seeded_losses()
    text = json.dumps([float(f"{loss:.12g}") for loss in losses], indent=1) + "\n"
    assert losses == pytest.approx(json.loads(golden("losses_cpu.json", text)), rel=TOLERANCE)


def seeded_losses() -> list[float]:
    torch.manual_seed(2024)
    model = build_model(SMALL.model_copy(update={"dropout": 0.1}), make_inputs()).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(STEPS):
        window = make_window(4, seed=step)
        loss = (model(window).point - window.target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
