"""What autocast may not round: the combined graph and its logarithm, penalties, losses, sums over windows."""

import math
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_core.build import build_model
from model_core.config.model import MixtureSettings, ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.losses import LossParts, forecast_loss, mixture_nll
from model_core.nn.bundles import Forecast, Mixture
from model_core.nn.graph.attention import MIN_ADJACENCY, log_adjacency
from model_core.nn.graph.learners.stochastic import gaussian_kl
from model_core.nn.node_attention import attend_nodes, node_weights
from model_core.training.precision import Kind, Precision
from model_core.training.validation import mean_losses
from tests.training.prepared import MODEL
from tests.training.tiny import TinyModel, tiny_dataset

CPU = torch.device("cpu")
HALVES = [torch.bfloat16, torch.float16]
TOLERANCE: dict[Kind, float] = {"bf16": 5e-3, "fp16": 5e-4}
"""Relative; their numbers have 8 and 11 significant bits."""
DATASET = tiny_dataset()
VARIANTS: dict[str, dict[str, Any]] = {
    "point": {},
    "stochastic graph": {"use_stochastic_learner": True},
    "gated graph": {"combiner": {"kind": "gated"}},
    "mixture": {"use_mixture_decoder": True},
    "sequential mixture": {"use_mixture_decoder": True, "mixture": {"kind": "sequential_mixture"}},
    "base model": {"kind": "enhanced_pgat"},
}


def settings_of(variant: str) -> ModelSettings:
    return ModelSettings.model_validate(MODEL.model_dump() | VARIANTS[variant])


def moved_model(settings: ModelSettings) -> nn.Module:
    """A model whose weights have left their start, so that the heads are not silent."""
    torch.manual_seed(0)
    model = build_model(settings, ModelInputs.from_dataset(DATASET)).train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


def losses(model: nn.Module, settings: ModelSettings, kind: Kind) -> dict[str, Tensor]:
    batch = WindowSet(DATASET, "train").batch(torch.arange(8))
    torch.manual_seed(1)
    with Precision(CPU, kind).autocast():
        forecast = model(batch)
    parts = forecast_loss(forecast, batch.target, settings.mixture)
    return {"total": parts.total, **parts.parts}


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    """Of all parameters, one behind the other; float64, so that comparing adds no rounding."""
    gradients = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    return torch.cat([part.double().flatten() for part in gradients])


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_autocast_losses_are_fp32_and_close_to_those_without(variant: str) -> None:
    settings = settings_of(variant)
    model = moved_model(settings)
    exact = losses(model, settings, "fp32")
    direction = gradient(model, exact["total"])
    for kind, tolerance in TOLERANCE.items():
        rounded = losses(model, settings, kind)
        assert {value.dtype for value in rounded.values()} == {torch.float32}
        assert {name: value.item() for name, value in rounded.items()} == pytest.approx(
            {name: value.item() for name, value in exact.items()}, rel=tolerance
        )
        # A random sky and layer norms over four channels make this model far rougher than a real one.
        assert F.cosine_similarity(gradient(model, rounded["total"]), direction, dim=0) > 0.9


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("combiner", ["batched", "sequential", "gated"])
def test_the_rows_of_the_combined_graph_sum_to_1_under_autocast(
    combiner: Literal["batched", "sequential", "gated"], kind: Kind
) -> None:
    settings = ModelSettings.model_validate(MODEL.model_dump() | {"combiner": {"kind": combiner}})
    model = moved_model(settings)
    graphs: list[Tensor] = []
    model.get_submodule("combiner").register_forward_hook(lambda module, inputs, out: graphs.append(out))
    losses(model, settings, kind)
    (graph,) = graphs
    assert graph.dtype == torch.float32
    torch.testing.assert_close(graph.sum(-1), torch.ones(graph.shape[:-1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_logarithm_of_an_absent_edge_is_not_taken_in_half_precision(dtype: torch.dtype) -> None:
    """1e-6 is below fp16's normal numbers, and added to 0.01 it vanishes in both."""
    graph = torch.tensor([0.0, 0.01], dtype=dtype).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    logs = log_adjacency(graph)
    assert logs.dtype == torch.float32
    assert logs[0, 0, 0].tolist() == pytest.approx(
        [math.log(MIN_ADJACENCY), math.log(float(graph[0, 0, 0, 1]) + MIN_ADJACENCY)], rel=1e-6
    )
    assert (graph + MIN_ADJACENCY).log()[0, 0, 0, 0].item() != pytest.approx(
        math.log(MIN_ADJACENCY), rel=1e-4
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_attention_among_nodes_scores_and_weighs_in_fp32(dtype: torch.dtype) -> None:
    """200 · 200 overflows fp16's largest number already as the sum of two channels."""
    queries, memory = torch.full((3, 5, 4), 200.0, dtype=dtype), torch.full((3, 5, 8), 200.0, dtype=dtype)
    weights = node_weights(queries, memory, heads=2)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.full((2, 5, 5, 3), 0.2), rtol=1e-6, atol=0)
    assert attend_nodes(queries, memory, heads=2).tolist() == memory[..., 4:].tolist()


@pytest.mark.parametrize("dtype", HALVES)
def test_divergence_and_likelihood_of_half_precision_numbers_are_computed_in_fp32(dtype: torch.dtype) -> None:
    numbers = torch.linspace(-2, 2, 24, dtype=dtype).view(1, 2, 3, 4)
    kl = gaussian_kl(numbers, numbers)
    assert kl.dtype == torch.float32
    torch.testing.assert_close(kl, gaussian_kl(numbers.float(), numbers.float()), rtol=0, atol=0)
    mixture, target = Mixture(numbers[..., 0], numbers, numbers), numbers[:, :, 0]
    exact = Mixture(numbers[..., 0].float(), numbers.float(), numbers.float())
    nll = mixture_nll(mixture, target, MixtureSettings())
    assert nll.dtype == torch.float32
    assert nll.item() == mixture_nll(exact, target.float(), MixtureSettings()).item()


@pytest.mark.parametrize("dtype", HALVES)
def test_layer_norm_takes_its_statistics_in_fp32(dtype: torch.dtype) -> None:
    """The sum of 4,096 squares near 100² overflows fp16, and bf16 would lose it to rounding."""
    torch.manual_seed(0)
    numbers = (100 + torch.randn(4, 4096)).to(dtype)
    exact = F.layer_norm(numbers.float(), (4096,))
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(F.layer_norm(numbers, (4096,)).float(), exact, rtol=rounding, atol=rounding)


def test_means_over_windows_are_summed_in_float64() -> None:
    def loss(forecast: Forecast, target: Tensor) -> LossParts:
        return LossParts(total=torch.tensor(0.1), parts={"mse": torch.tensor(0.1)})

    windows = WindowSet(DATASET, "train")
    means = mean_losses(TinyModel(), windows, loss, Precision(CPU, "bf16"), batch_size=3)
    assert means["total"] == pytest.approx(float(torch.tensor(0.1)), rel=1e-14, abs=0)
