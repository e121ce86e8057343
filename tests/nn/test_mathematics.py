"""What the parts claim of angles, graphs, candles and time, checked on numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_core.build import build_model, parameters_by_part
from model_core.config.model import (
    CombinerSettings,
    GraphSettings,
    ModelSettings,
    StochasticLearnerSettings,
)
from model_core.errors import SettingsError
from model_core.losses import forecast_loss
from model_core.nn.bundles import BodyStates, Edges
from model_core.nn.celestial.aspects import AspectEdges
from model_core.nn.celestial.phase import BodyPhases, Phases, relative_angle
from model_core.nn.celestial.phase_edges import phase_features
from model_core.nn.embedding import sinusoids
from model_core.nn.graph.combiners.batched import CelestialGraphCombiner
from model_core.nn.graph.combiners.gated import GatedGraphCombiner
from model_core.nn.graph.combiners.sequential import SequentialCelestialGraphCombiner
from model_core.nn.graph.learners.stochastic import StochasticGraphLearner, gaussian_kl
from model_core.nn.graph.regularization import GraphRegularization
from model_core.nn.heads.candle import candle_coordinates, candle_from, corrected_candle
from model_core.sky.aspects import ASPECTS
from model_core.sky.bodies import BODIES
from model_core.sky.waves import column_of, waves_of
from tests.nn.kit import SMALL, make_inputs, make_window

DEGREE = math.pi / 180
OVERFIT_STEPS = 200
"""Enough on any processor: with other sums the mixture takes 40 to 64 steps, and the rest less."""


def phases_at(longitude_deg: torch.Tensor) -> Phases:
    angle = longitude_deg * DEGREE
    pair = torch.stack([angle.cos(), angle.sin()], dim=-1)
    sign = torch.stack([(12 * angle).cos(), (12 * angle).sin()], dim=-1)
    return Phases(longitude=pair, sign=sign, motion=torch.stack([angle.cos(), angle, angle**2], dim=-1))


def test_a_full_turn_changes_no_phase_feature() -> None:
    longitude = torch.tensor([[3.0, 77.0, 181.0, 359.5]], dtype=torch.float64)
    turned = phases_at(longitude + 360.0)
    here = Phases(phases_at(longitude).longitude, phases_at(longitude).sign, turned.motion)
    torch.testing.assert_close(phase_features(here), phase_features(turned))


def test_turning_a_pair_round_turns_sines_and_differences_only() -> None:
    features = phase_features(phases_at(torch.tensor([[3.0, 77.0, 181.0, 359.5]])))
    reversed_pair = features.transpose(2, 3)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    torch.testing.assert_close(features, reversed_pair * sign[:, None, None, None])


def test_phase_features_are_cosine_and_sine_of_the_difference() -> None:
    longitude = torch.tensor([[10.0, 100.0, 300.0]], dtype=torch.float64)
    cos, sin = relative_angle(phases_at(longitude).longitude)
    difference = (longitude.unsqueeze(-1) - longitude.unsqueeze(-2)) * DEGREE
    torch.testing.assert_close(cos, difference.cos())
    torch.testing.assert_close(sin, difference.sin())


def test_phases_are_found_by_name_and_in_natural_units() -> None:
    inputs = make_inputs()
    phases, sky = BodyPhases(inputs), torch.randn(4, 113)
    mars = BODIES.index("Mars")
    found = phases(sky)
    assert torch.equal(
        found.longitude[:, mars, 1], sky[:, column_of(inputs.waves, "Mars", "longitude_sin") - 5]
    )
    distance = sky[:, column_of(inputs.waves, "Mars", "distance") - 5] * 0.3 + 1.5
    torch.testing.assert_close(found.motion[:, mars, 2], distance.clamp_min(1e-3).log())
    assert not found.motion[:, BODIES.index("North node"), 1:].any(), "nodes have no latitude and distance"


def sky_with(separation_deg: float) -> torch.Tensor:
    """One time step: the Moon ``separation_deg`` ahead of the Sun, every other body at 20° beside it."""
    waves = waves_of("ephemeris")
    sky = torch.zeros(1, 1, 113)
    for body in BODIES:
        angle = {"Sun": 100.0, "Moon": 100.0 + separation_deg}.get(body, 120.0) * DEGREE
        sky[..., column_of(waves, body, "longitude_sin") - 5] = math.sin(angle)
        sky[..., column_of(waves, body, "longitude_cos") - 5] = math.cos(angle)
    return sky


def sun_moon_edge(separation_deg: float) -> float:
    nothing = BodyStates(torch.zeros(1, 1, 13, 1), torch.zeros(1, 1, 13, 13))
    edges = AspectEdges(make_inputs())(sky_with(separation_deg), nothing)
    assert torch.equal(edges, edges.transpose(-1, -2)), "an aspect has no direction"
    return edges[0, 0, BODIES.index("Sun"), BODIES.index("Moon")].item()


@pytest.mark.parametrize("aspect", ASPECTS, ids=lambda aspect: aspect.name)
def test_an_aspect_edge_peaks_at_its_angle(aspect) -> None:  # type: ignore[no-untyped-def]
    at = abs(sun_moon_edge(aspect.angle_deg))
    assert at == pytest.approx(abs(aspect.strength), abs=2e-3)
    assert at > abs(sun_moon_edge(aspect.angle_deg + 1.0))
    assert sun_moon_edge(-aspect.angle_deg) == pytest.approx(sun_moon_edge(aspect.angle_deg), abs=1e-4)
    beyond = sun_moon_edge(aspect.angle_deg + (1 if aspect.angle_deg < 180 else -1) * aspect.orb_deg)
    assert abs(beyond) == pytest.approx(at * math.exp(-0.5), abs=2e-3)


def test_bodies_without_waves_have_no_aspects_and_finite_gradients() -> None:
    inputs = make_inputs(layout="published")
    nothing = BodyStates(torch.zeros(1, 1, 13, 1), torch.zeros(1, 1, 13, 13))
    sky = torch.randn(1, 1, 113, requires_grad=True)
    edges = AspectEdges(inputs)(sky, nothing)
    chiron = BODIES.index("Chiron")
    assert not edges[..., chiron, :].any()
    edges.sum().backward()
    assert sky.grad is not None
    assert sky.grad.isfinite().all()


def test_a_prepared_table_without_chiron_builds_a_whole_model() -> None:
    model = build_model(SMALL, make_inputs(layout="published"))
    assert model(make_window()).point.isfinite().all()


@pytest.mark.parametrize(
    "kind",
    [CelestialGraphCombiner, SequentialCelestialGraphCombiner, GatedGraphCombiner],
    ids=lambda k: k.__name__,
)
def test_rows_of_the_combined_graph_sum_to_one(kind: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    settings = CombinerSettings(edge_dim=6)
    combiner = kind(3, 8, settings) if kind is GatedGraphCombiner else kind(3, 8, 3, settings)
    edges = Edges(10 * torch.randn(2, 6, 13, 13, 3), ("a", "b", "c"))
    adjacency = combiner(edges, torch.randn(2, 6, 8), torch.randn(2, 8))
    assert (adjacency >= 0).all()
    torch.testing.assert_close(adjacency.sum(-1), torch.ones(2, 6, 13))


def test_the_divergence_of_a_graph_at_its_prior_is_zero() -> None:
    assert not gaussian_kl(torch.zeros(5), torch.zeros(5)).any()


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    mean, log_std = torch.randn(50), 0.5 * torch.randn(50)
    standard = torch.distributions.Normal(torch.zeros(50), torch.ones(50))
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, log_std.exp()), standard)
    torch.testing.assert_close(gaussian_kl(mean, log_std), expected)


def test_a_learner_that_says_its_prior_asks_for_nothing() -> None:
    torch.manual_seed(0)
    learner = StochasticGraphLearner(8, StochasticLearnerSettings(prior_std=0.5))
    with torch.no_grad():
        learner.project.weight.zero_()
        learner.project.bias.zero_()
    proposal = learner(torch.randn(2, 16, 8), torch.randn(2, 16, 13, 4))
    assert proposal.penalties["graph_kl"].item() == 0.0
    assert proposal.values.std() > 0.05, "edges are drawn in training"
    drawn = torch.logit(proposal.values)
    assert drawn.std().item() == pytest.approx(0.5, rel=0.05)
    quiet = learner.eval()(torch.randn(2, 16, 8), torch.randn(2, 16, 13, 4)).values
    torch.testing.assert_close(quiet, torch.full_like(quiet, 0.5))


def test_the_weight_of_the_divergence_rises_over_the_first_epochs() -> None:
    torch.manual_seed(0)
    settings = StochasticLearnerSettings(reg_loss_weight=0.1, kl_weight=0.5, kl_anneal_epochs=4)
    learner, encoded = StochasticGraphLearner(8, settings), torch.randn(2, 16, 8)
    penalties = []
    for epoch in range(6):
        learner.anneal(epoch)
        penalties.append(learner(encoded, torch.randn(2, 16, 13, 4)).penalties["graph_kl"].item())
    shares = [penalty / penalties[-1] for penalty in penalties]
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    twice = settings.model_copy(update={"reg_loss_weight": 0.2})
    other = StochasticGraphLearner(8, twice)
    other.load_state_dict(learner.state_dict())
    doubled = other(encoded, torch.randn(2, 16, 13, 4)).penalties["graph_kl"].item()
    assert doubled == pytest.approx(2 * penalties[-1])


def test_a_graph_of_equal_edges_is_least_sparse_and_one_edge_a_row_most() -> None:
    penalties = GraphRegularization(GraphSettings(sparsity_weight=0.5, smoothness_weight=2.0))
    equal, single = torch.full((2, 6, 13, 13), 1 / 13), torch.eye(13).expand(2, 6, 13, 13)
    assert penalties(equal)["graph_sparsity"].item() == pytest.approx(0.5)
    assert penalties(single)["graph_sparsity"].item() == 0.0
    assert penalties(single)["graph_smoothness"].item() == 0.0


def test_a_graph_that_moves_pays_for_it_and_every_penalty_has_a_gradient() -> None:
    penalties = GraphRegularization(GraphSettings(sparsity_weight=0.5, smoothness_weight=2.0))
    logits = torch.randn(2, 6, 13, 13, requires_grad=True)
    found = penalties(torch.softmax(logits, dim=-1))
    moved = torch.softmax(logits, dim=-1).diff(dim=1).square().mean() * 13
    assert found["graph_smoothness"].item() == pytest.approx(2.0 * moved.item())
    for penalty in found.values():
        (gradient,) = torch.autograd.grad(penalty, logits, retain_graph=True)
        assert gradient.isfinite().all()
        assert gradient.any()


candles = st.lists(st.floats(-3, 3), min_size=4, max_size=4)


@settings(deadline=None, max_examples=60)
@given(candles, st.lists(st.floats(-40, 40), min_size=4, max_size=4))
def test_any_correction_of_any_candle_is_a_candle(prices: list[float], correction: list[float]) -> None:
    opened, high, low, close = corrected_candle(torch.tensor([prices]), torch.tensor([correction])).unbind(-1)
    assert (high >= torch.maximum(opened, close)).all()
    assert (low <= torch.minimum(opened, close)).all()


@settings(deadline=None, max_examples=60)
@given(st.floats(-3, 3), st.floats(0.01, 4), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_a_candle_survives_its_coordinates(low: float, span: float, open_at: float, close_at: float) -> None:
    candle = torch.tensor([[low + open_at * span, low + span, low, low + close_at * span]])
    torch.testing.assert_close(candle_from(candle_coordinates(candle)), candle, atol=3e-6, rtol=1e-6)


def test_positions_go_on_where_the_known_days_end() -> None:
    device = torch.device("cpu")
    torch.testing.assert_close(sinusoids(30, 8, 0, device)[20:], sinusoids(10, 8, 20, device))


@pytest.mark.parametrize(
    ("head", "left"),
    [
        ({}, 0.05),
        ({"use_mixture_decoder": True}, 0.15),
        ({"use_mixture_decoder": True, "mixture": {"kind": "sequential_mixture"}}, 0.15),
        ({"kind": "enhanced_pgat"}, 0.05),
    ],
    ids=["point", "mixture", "sequential mixture", "base model"],
)
def test_overfits_one_batch(head: dict[str, object], left: float) -> None:
    """Four windows learned by heart; a mixture gets less far, since it widens where it errs."""
    torch.manual_seed(0)
    chosen = ModelSettings.model_validate({**SMALL.model_dump(), **head})
    model, window = build_model(chosen, make_inputs()), make_window(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    errors, losses = [], []
    for _ in range(OVERFIT_STEPS):
        forecast = model(window)
        loss = forecast_loss(forecast, window.target, chosen.mixture).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        errors.append((forecast.point - window.target).square().mean().item())
        if errors[-1] < left * errors[0]:
            break
    assert min(errors) < left * errors[0]
    assert losses[-1] < losses[0]


def test_parameters_are_counted_once_by_part() -> None:
    model = build_model(SMALL, make_inputs())
    counts = parameters_by_part(model)
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"num_input_waves": 100}, "model.num_input_waves"),
        ({"target_wave_indices": (0, 1, 2, 5)}, "model.target_wave_indices"),
        (
            {
                "use_celestial_graph": False,
                "graph": {"use_dynamic": False, "use_traditional": False, "use_data_driven": False},
            },
            "model.graph",
        ),
    ],
)
def test_settings_that_do_not_fit_the_dataset_are_refused(change: dict[str, object], key: str) -> None:
    chosen = ModelSettings.model_validate({**SMALL.model_dump(), **change})
    with pytest.raises(SettingsError) as refused:
        build_model(chosen, make_inputs())
    assert refused.value.keys == (key,)
