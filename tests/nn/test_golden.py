"""The model of today is the model of yesterday: same parameters, same losses. ``make golden`` rewrites."""

import json
from collections.abc import Callable

import pytest
import torch

from model_core.build import build_model
from model_core.config.model import ModelSettings
from tests.nn.kit import SMALL, make_inputs, make_window

STEPS = 30


def test_parameters_keep_their_names_and_shapes(golden: Callable[[str, str], str]) -> None:
    model = build_model(ModelSettings(), make_inputs(seq_len=250, pred_len=10))
    keys = "".join(f"{name} {list(value.shape)}\n" for name, value in model.state_dict().items())
    assert keys == golden("state_dict_keys.txt", keys)


def test_thirty_seeded_steps_give_the_same_losses(golden: Callable[[str, str], str]) -> None:
    torch.manual_seed(2024)
    model = build_model(SMALL.model_copy(update={"dropout": 0.1}), make_inputs())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(STEPS):
        window = make_window(4, seed=step)
        loss = (model(window).point - window.target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    stored = json.loads(
        golden("losses_cpu.json", json.dumps([round(loss, 6) for loss in losses], indent=1) + "\n")
    )
    # Other processors add in another order; a real change is far larger.
    assert losses == pytest.approx(stored, rel=2e-3)
