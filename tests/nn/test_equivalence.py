"""The fast code is the written-out mathematics, and recomputing changes nothing."""

import math
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model_core.build import build_model
from model_core.config.model import CombinerSettings
from model_core.nn import chunks
from model_core.nn.attention import MultiHeadAttention, NodeTemporalAttention
from model_core.nn.blocks import CausalConvMixer, Dropout
from model_core.nn.bundles import Edges
from model_core.nn.celestial.processor import GroupedWaveNetwork
from model_core.nn.embedding import DataEmbedding
from model_core.nn.graph.combiners.axial_fusion import AxialFusionLayer
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from model_core.nn.graph.combiners.sequential import SequentialCelestialGraphCombiner
from model_core.nn.node_attention import attend_nodes, attend_nodes_reference, node_weights
from model_core.nn.recomputation import chunked_checkpoint
from model_core.sky.bodies import BODIES
from tests.nn.kit import SMALL, make_inputs, make_window, scalar_of


def test_attention_among_nodes_is_the_written_out_one() -> None:
    """Result, weights and every gradient; four targets read seventeen nodes in chunks that do not divide."""
    torch.manual_seed(0)
    inputs = torch.randn(7, 4, 20), torch.randn(7, 17, 40), torch.randn(7, 4, 17), torch.randn(4)
    results = []
    for attend in (attend_nodes, lambda *asked: attend_nodes_reference(*asked)[0]):
        queries, memory, bias, slope = (x.clone().requires_grad_() for x in inputs)
        read = attend(queries, memory, 4, bias, slope)
        scalar_of(read).backward()
        results.append([read, *(x.grad for x in (queries, memory, bias, slope))])
    queries, memory, bias, slope = inputs
    results[0].append(node_weights(queries, memory, 4, bias, slope))
    results[1].append(attend_nodes_reference(queries, memory, 4, bias, slope)[1])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("biased", [True, False], ids=["biased", "plain"])
def test_the_gradient_of_attention_among_nodes_is_the_slope_of_its_result(
    biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against differences in float64, in chunks of two steps, the last one shorter."""
    monkeypatch.setattr(chunks, "STEPS_PER_CHUNK", 2)
    torch.manual_seed(0)
    shapes = [(3, 2, 4), (3, 3, 8), *([(3, 2, 3), (2,)] if biased else [])]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda q, m, *rest: attend_nodes(q, m, 2, *rest), inputs)


def test_the_gradient_of_an_axial_layer_is_the_slope_of_its_result() -> None:
    """Against differences in float64, and the result against its equation."""
    torch.manual_seed(0)
    layer = AxialFusionLayer(3).double()
    edges = torch.randn(2, 4, 4, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(edges), layer.reference(edges))
    weights = list(layer.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), [edges, *weights])


def test_the_batched_combiner_is_the_sequential_one() -> None:
    """Graph and gradients, from the same state dict."""
    torch.manual_seed(0)
    settings, results = CombinerSettings(edge_dim=6), []
    batched = CelestialGraphCombiner(3, 8, 3, settings)
    sequential = SequentialCelestialGraphCombiner(3, 8, 3, settings)
    sequential.load_state_dict(batched.state_dict(), strict=True)
    values, encoded, context = torch.randn(2, 17, 13, 13, 3), torch.randn(2, 17, 8), torch.randn(2, 8)
    for combiner in (batched, sequential):
        adjacency = combiner(Edges(values, ("a", "b", "c")), encoded, context)
        scalar_of(adjacency).backward()
        results.append((adjacency, [p.grad for p in combiner.parameters()]))
    (fast, gradients), (slow, slow_gradients) = results
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients, slow_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("queries", [5, 12], ids=["last days", "all days"])
def test_causal_attention_across_sequences_is_the_written_out_one(queries: int) -> None:
    torch.manual_seed(0)
    attention, memory = MultiHeadAttention(6, 2, 6, causal=True), torch.randn(3, 12, 6)
    asked = memory[:, -queries:]
    q = attention.query(asked).unflatten(-1, (2, 3))
    keys, values = (part.unflatten(-1, (2, 3)) for part in attention.memory(memory).chunk(2, dim=-1))
    later = torch.arange(12) > torch.arange(12 - queries, 12)[:, None]
    scores = torch.einsum("bqhc,bmhc->bhqm", q, keys) / math.sqrt(3)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1)
    expected = attention.out(torch.einsum("bhqm,bmhc->bqhc", weights, values).flatten(2))
    torch.testing.assert_close(attention(asked, memory), expected, atol=1e-5, rtol=1e-5)


def test_temporal_attention_is_the_written_out_one() -> None:
    torch.manual_seed(0)
    attention, nodes = NodeTemporalAttention(4), torch.randn(2, 9, 13, 4)
    queries, keys, values = attention.project(nodes).chunk(3, dim=-1)
    scores = torch.einsum("bsnc,btnc->bnst", queries, keys) / 2.0
    future = torch.ones(9, 9, dtype=torch.bool).triu(1)
    weights = torch.softmax(scores.masked_fill(future, -torch.inf), dim=-1)
    expected = attention.out(torch.einsum("bnst,btnc->bsnc", weights, values))
    torch.testing.assert_close(attention(nodes), expected, atol=1e-5, rtol=1e-5)


def test_the_embedding_is_a_causal_convolution() -> None:
    torch.manual_seed(0)
    embedding, features = DataEmbedding(6, 8, dropout=0.0), torch.randn(2, 20, 6)
    calendar = torch.zeros(2, 20, 6, dtype=torch.int64)
    kernel = embedding.value.weight.unflatten(0, (3, 8)).permute(1, 2, 0).flip(-1)
    padded = F.pad(features.transpose(1, 2), (2, 0))
    value = F.conv1d(padded, kernel, embedding.bias).transpose(1, 2)
    without = embedding(torch.zeros_like(features), calendar) - embedding.bias
    torch.testing.assert_close(embedding(features, calendar), value + without, atol=1e-5, rtol=1e-5)


def test_the_causal_mixer_is_a_depthwise_convolution() -> None:
    torch.manual_seed(0)
    mixer, states = CausalConvMixer(6), torch.randn(2, 20, 13, 6)
    series = F.pad(states.permute(0, 2, 3, 1).flatten(0, 1), (3, 0))
    expected = F.conv1d(series, mixer.taps.flip(0).T.unsqueeze(1), groups=6)
    expected = expected.unflatten(0, (2, 13)).permute(0, 3, 1, 2)
    torch.testing.assert_close(mixer(states), expected, atol=1e-5, rtol=1e-5)


def test_the_grouped_network_is_one_network_per_body() -> None:
    torch.manual_seed(0)
    inputs = make_inputs()
    network, sky = GroupedWaveNetwork(inputs, hidden=5, width=7), torch.randn(9, 113)
    together = network(sky)
    waves = [wave for wave in inputs.waves if wave.kind == "sky"]
    for n, body in enumerate(BODIES):
        own = [k for k, wave in enumerate(waves) if wave.body == body]
        hidden = F.gelu(sky[:, own] @ network.inner[own] + network.inner_bias[n])
        alone = hidden @ network.outer[n] + network.outer_bias[n]
        torch.testing.assert_close(together[:, n], alone, atol=1e-5, rtol=1e-5)


def test_chunks_of_steps_give_the_result_and_the_gradients_of_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    combiner = CelestialGraphCombiner(3, 8, 2, CombinerSettings(edge_dim=4))
    values, state = torch.randn(23, 13, 13, 3, requires_grad=True), torch.randn(23, 4, requires_grad=True)
    (whole,) = combiner.combine(values, state)
    scalar_of(whole).backward()
    expected = [values.grad, state.grad, *(p.grad for p in combiner.parameters())]

    values.grad = state.grad = None
    combiner.zero_grad()
    monkeypatch.setattr(chunks, "STEPS_PER_CHUNK", 5)
    (chunked,) = chunked_checkpoint(combiner, combiner.combine, values, state)
    scalar_of(chunked).backward()
    torch.testing.assert_close(chunked, whole)
    for gradient, other in zip(
        [values.grad, state.grad, *(p.grad for p in combiner.parameters())], expected, strict=True
    ):
        if other is None:  # the projection of the encoder state runs before the chunks
            assert gradient is None or not gradient.any()
        else:
            torch.testing.assert_close(gradient, other, atol=1e-4, rtol=1e-4)


def test_no_edge_tensor_is_kept_for_the_backward_pass() -> None:
    combiner = CelestialGraphCombiner(3, 8, 4, CombinerSettings(edge_dim=16))
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    edges = Edges(torch.rand(2, 40, 13, 13, 3), ("a", "b", "c"))
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        combiner(edges, torch.randn(2, 40, 8), torch.randn(2, 8))
    assert kept < 2 * 40 * 13 * 13 * 16, "one edge tensor of 16 channels would already be more"


def test_gradient_checkpointing_changes_neither_forecast_nor_gradient() -> None:
    window, results = make_window(), []
    for checkpointing in (False, True):
        torch.manual_seed(3)
        settings = SMALL.model_copy(update={"gradient_checkpointing": checkpointing, "dropout": 0.2})
        model = build_model(settings, make_inputs())
        torch.nn.init.normal_(model.get_parameter("head.projection.weight"))
        torch.manual_seed(4)
        forecast = model(window)
        scalar_of(forecast).backward()
        results.append((forecast.point, [p.grad for p in model.parameters()]))
    (point, gradients), (other_point, other_gradients) = results
    torch.testing.assert_close(point, other_point, atol=0, rtol=0)
    for one, other in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


COMPILED = """
import sys
import torch
from model_core.build import build_model
from model_core.nn.market_context import MarketContextEncoder
from tests.nn.kit import SMALL, make_inputs, make_window, scalar_of

torch.manual_seed(0)
if sys.argv[1] == "aot_eager":
    one_layer_each = {"e_layers": 1, "d_layers": 1, "celestial_fusion_layers": 1}
    model = build_model(SMALL.model_copy(update=one_layer_each), make_inputs())
    torch.nn.init.normal_(model.get_parameter("head.projection.weight"))
    run = lambda: model(make_window()).point
else:
    model, encoded = MarketContextEncoder(8, 2), torch.randn(2, 17, 8)
    run = lambda: model(encoded)

def result_and_gradients(precision):
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        result = run()
    scalar_of(result).backward()
    return [result.detach(), *(p.grad.clone() for p in model.parameters())]

precisions = sys.argv[2:]
exact, interpreted = result_and_gradients("fp32"), [result_and_gradients(precision) for precision in precisions]
model.compile(backend=sys.argv[1])
for number, precision in enumerate(precisions):
    compiled = result_and_gradients(precision)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > number
    for one, expected, true in zip(compiled, interpreted[number], exact, strict=True):
        # Sums that nearly cancel lose most of their digits in bf16: there the compiler may be as far off as bf16 is.
        lost = float((expected - true).abs().max())
        limit = 1e-4 if precision == "fp32" else 3e-2 * float(expected.abs().max()) + lost
        torch.testing.assert_close(one, expected, atol=limit, rtol=1e-4)
assert not torch._dynamo.utils.counters["graph_break"]
"""
"""In a process of its own: the shape checks of the tests cannot be compiled."""


@pytest.mark.slow
def test_a_compiled_model_is_one_graph_with_the_same_forecast_and_gradients() -> None:
    """Traced and differentiated by torch's compiler, then run by torch's own kernels: needs no C++ compiler."""
    command = [sys.executable, "-c", COMPILED, "aot_eager", "fp32", "bf16"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(" " in torch.__file__, reason="torch's compiler cannot link in a path with spaces")
@pytest.mark.skipif(
    shutil.which("g++") is None or not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists(),
    reason="torch.compile needs a C++ compiler (g++) and Python's headers",
)
def test_a_part_compiled_to_machine_code_gives_the_same_result_and_gradients() -> None:
    """One part, since a whole model takes two minutes to compile on a CPU (``docs/log.md``)."""
    command = [sys.executable, "-c", COMPILED, "inductor", "fp32"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout, ones = Dropout(0.1), torch.ones(401, 999, requires_grad=True)
    dropped = dropout(ones)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=3e-3)
    assert dropped.mean().item() == pytest.approx(1.0, abs=3e-3)
    dropped.sum().backward()
    torch.testing.assert_close(ones.grad, dropped.detach())
    torch.testing.assert_close(dropout.eval()(ones), ones)


@pytest.mark.gpu
def test_a_training_step_on_a_gpu_never_waits_for_the_host() -> None:
    model, window = build_model(SMALL, make_inputs()).cuda(), make_window().to("cuda")
    with torch.autocast("cuda", torch.bfloat16):
        model(window)  # kernels are chosen on the first call
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            loss = (model(window).point - window.target).square().mean()
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_gpu_forecasts_what_the_cpu_forecasts() -> None:
    torch.manual_seed(0)
    model, window = build_model(SMALL, make_inputs()).eval(), make_window()
    torch.nn.init.normal_(model.get_parameter("head.projection.weight"))
    expected = model(window).point
    torch.testing.assert_close(model.cuda()(window.to("cuda")).point.cpu(), expected, atol=1e-3, rtol=1e-3)
