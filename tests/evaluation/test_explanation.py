"""What a model looked at: means over test windows, named, in the evaluation folder and in the pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.evaluate.step import run
from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import open_artifact
from model_core.axes import TARGETS
from model_core.build import build_model
from model_core.config.run import EvaluationSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.evaluation import explanation
from model_core.evaluation.explanation import explain_model
from model_core.nn.ensemble import EnsembleModel
from model_core.report.graph_figures import heat_figure
from model_core.results.explanation import Explanation
from model_core.results.record import read_result
from model_core.sky.bodies import BODIES
from tests.training.prepared import MODEL, TRAINING, write_tiny_dataset
from tests.training.tiny import tiny_dataset


def explained(batch_size: int = 7, **changes: Any) -> Explanation:
    torch.manual_seed(0)
    dataset = tiny_dataset()
    model = build_model(MODEL.model_copy(update=changes), ModelInputs.from_dataset(dataset))
    return explain_model(model, WindowSet(dataset, "test"), batch_size)


def test_the_explanation_is_a_mean_over_windows_whatever_the_batch() -> None:
    one, other = explained(batch_size=1), explained(batch_size=64)
    np.testing.assert_allclose(one.adjacency, other.adjacency, atol=1e-6)
    np.testing.assert_allclose(one.target_to_body, other.target_to_body, atol=1e-6)
    np.testing.assert_allclose(np.sum(one.adjacency, axis=1), np.ones(13), atol=1e-6)
    assert sum(one.source_weights.values()) == pytest.approx(1.0)
    assert list(one.source_weights) == ["phase", "aspects", "dynamic", "traditional", "data_driven"]


def test_a_long_split_is_explained_by_windows_spread_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "WINDOWS_AT_MOST", 3)
    assert explained().windows == 3


def test_the_graphs_of_several_seeds_are_averaged_and_their_spread_is_kept() -> None:
    dataset, members = tiny_dataset(), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        members.append(build_model(MODEL, ModelInputs.from_dataset(dataset)))
    windows = WindowSet(dataset, "test")
    one, other, both = (explain_model(m, windows, 7) for m in (*members, EnsembleModel(members)))
    assert one.adjacency_spread is None
    assert both.adjacency_spread is not None
    graphs = np.array([one.adjacency, other.adjacency])
    np.testing.assert_allclose(both.adjacency, graphs.mean(0), atol=1e-6)
    np.testing.assert_allclose(both.adjacency_spread, graphs.std(0, ddof=1), atol=1e-6)
    assert np.max(both.adjacency_spread) > 1e-4


def test_nodes_without_a_sky_are_not_called_bodies() -> None:
    assert explained().bodies == BODIES
    assert explained(kind="enhanced_pgat").bodies == BODIES
    assert explained(use_celestial_graph=False).bodies[0] == "latent 1"


def test_both_pictures_are_drawn_from_it() -> None:
    said = explained()
    adjacency = heat_figure(said.adjacency, said.bodies, said.bodies, "adjacency")
    attention = heat_figure(said.target_to_body, TARGETS, said.bodies, "attention")
    assert all(body in adjacency and body in attention for body in BODIES)
    assert all(target in attention for target in TARGETS)


def test_the_evaluation_folder_declares_its_explanation(tmp_path: Path) -> None:
    dataset = write_tiny_dataset(tmp_path / "dataset")
    train(Job(
        dataset=dataset, model=tmp_path / "model", model_settings=MODEL,
        training_settings=TRAINING.model_copy(update={"train_epochs": 1, "tensorboard": False}),
    ))  # fmt: skip
    settings = EvaluationSettings()
    run(dataset=dataset, model=tmp_path / "model", evaluation=tmp_path / "evaluation", settings=settings)
    assert "explanation.json" in open_artifact(tmp_path / "evaluation", producer="evaluate").files
    said = read_result(Explanation, tmp_path / "evaluation")
    assert np.shape(said.adjacency) == (13, 13)
    assert np.shape(said.target_to_body) == (4, 13)
