"""Shapes of a model that is not made, and what telling them costs."""

import subprocess
import sys
from typing import Any

import pytest
from torch import nn

from model_core.build import build_model
from model_core.checkpoints.measure import shapes_of
from tests.nn.kit import SMALL, make_inputs

MODELS: dict[str, dict[str, Any]] = {
    "standard": {},
    "mixture": {"use_mixture_decoder": True},
    "all graphs and levels": {"use_stochastic_learner": True, "use_hierarchical_mapping": True},
    "no sky": {"use_celestial_graph": False},
    "waves to every body": {"aggregate_waves_to_celestial": False},
    "base model": {"kind": "enhanced_pgat", "use_mixture_decoder": True},
}


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_those_of_the_model_itself(name: str) -> None:
    settings, inputs = SMALL.model_copy(update=MODELS[name]), make_inputs()
    built: nn.Module = build_model(settings, inputs)
    assert shapes_of(settings, inputs) == {key: tuple(t.shape) for key, t in built.state_dict().items()}


def test_telling_shapes_does_not_load_the_compiler_of_torch() -> None:
    """Which takes a second, of each step that reads a checkpoint."""
    code = (
        "import sys; from tests.nn.kit import SMALL, make_inputs; "
        "from model_core.checkpoints.measure import shapes_of; "
        "shapes_of(SMALL.model_copy(update={'use_mixture_decoder': True}), make_inputs()); "
        "print({'sympy', 'torch._dynamo'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert told.stdout == "set()\n"
