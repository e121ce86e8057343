"""Every ablation states one idea, builds, and trains."""

from pathlib import Path

import pytest
import torch
import yaml

from model_core.build import build_model
from model_core.config.load import load_settings
from model_core.config.model import ModelSettings
from model_core.losses import forecast_loss
from tests.nn.kit import SMALL, make_inputs, make_window

FOLDER = Path(__file__).parent.parent / "configs" / "ablations"
FILES = sorted(FOLDER.glob("*.yaml"))
WIDTHS = ("d_model", "n_heads", "e_layers", "d_layers", "d_ff", "celestial_dim", "celestial_fusion_layers")
"""What a test makes small; everything else is as the file says."""


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES], name="path")
def _path(request: pytest.FixtureRequest) -> Path:
    return request.param


def small(path: Path) -> ModelSettings:
    """The model of a file in the widths of a test."""
    return load_settings(path, [f"model.{width}={getattr(SMALL, width)}" for width in WIDTHS]).model


def leaves(tree: dict[str, object]) -> int:
    return sum(leaves(value) if isinstance(value, dict) else 1 for value in tree.values())


def test_an_ablation_is_one_idea_in_ten_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert len(text.splitlines()) <= 10
    assert text.startswith("# ")
    assert set(content) == {"extends", "model"}
    assert content["extends"] == "../celestial_enhanced_pgat.yaml"
    assert 1 <= leaves(content["model"]) <= 4


def test_an_ablation_changes_the_standard_model(path: Path) -> None:
    standard = load_settings(FOLDER.parent / "celestial_enhanced_pgat.yaml")
    ablation = load_settings(path)
    assert ablation.model != standard.model
    assert ablation.model_copy(update={"model": standard.model}) == standard


def test_an_ablation_trains(path: Path) -> None:
    torch.manual_seed(0)
    settings = small(path)
    model, window = build_model(settings, make_inputs()), make_window(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = forecast_loss(model(window), window.target, settings.mixture)
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert all(torch.tensor(losses).isfinite())
    assert losses[-1] < losses[0]
