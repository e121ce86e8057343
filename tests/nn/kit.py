"""Small real inputs for tests of the model: a dataset's description, windows, and every part's inputs."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from model_core.config.data import Layout, WindowSettings
from model_core.config.model import ModelSettings
from model_core.data.calendar import CALENDAR_FEATURES
from model_core.data.har import har_days
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window
from model_core.sky.bodies import BODIES
from model_core.sky.waves import waves_of

SMALL = ModelSettings(
    d_model=52,
    n_heads=2,
    e_layers=2,
    d_layers=2,
    d_ff=32,
    celestial_dim=8,
    celestial_fusion_layers=2,
    dropout=0.0,
)
"""Every part of the production model, 4 channels a node (a layer norm over 2 keeps only a sign)."""


def make_inputs(seq_len: int = 24, pred_len: int = 5, layout: Layout = "ephemeris") -> ModelInputs:
    """What a model knows of a dataset whose speeds, distances and latitudes are scaled."""
    waves = waves_of(layout)
    days = [float(h) for h in range(1, pred_len + 1)]
    return ModelInputs(
        layout=layout,
        window=WindowSettings(seq_len=seq_len, label_len=seq_len // 2, pred_len=pred_len),
        wave_mean=tuple(1.5 if wave.quantity == "distance" else 0.0 for wave in waves),
        wave_std=tuple(0.3 if wave.quantity == "distance" else 1.0 for wave in waves),
        walk_a=tuple((1e-4 * h, 2e-4 * h, -1e-4 * h, 1e-4 * h) for h in days),
        walk_b=tuple((0.01, 0.2 + 0.05 * h, -0.2 - 0.05 * h, 0.01 * h) for h in days),
        walk_c=tuple(
            tuple((0.0, share * (0.2 + 0.05 * h), -share * (0.2 + 0.05 * h), 0.01 * h) for h in days)
            for share in (0.5, 0.3, 0.2)
        ),
        scale_c=tuple(
            tuple((0.4 * c * h**0.5, 0.5 * c * h**0.5, 0.5 * c * h**0.5, c * h**0.5) for h in days)
            for c in (1e-3, 0.3, 0.3, 0.2)
        ),
        range_days=har_days(seq_len),
    )


def make_window(batch: int = 3, seq_len: int = 24, pred_len: int = 5, seed: int = 0) -> Window:
    """Random walks for prices; bodies that move round the zodiac at their own constant rates."""
    random = torch.Generator().manual_seed(seed)
    steps = seq_len + pred_len
    day = torch.arange(steps, dtype=torch.float32) + 1000 * torch.rand(batch, 1, generator=random)
    waves = [_wave(wave.body, wave.quantity, day) for wave in waves_of("ephemeris") if wave.kind == "sky"]
    close = torch.randn(batch, steps, generator=random).cumsum(1)
    close = close - close[:, seq_len - 1 : seq_len]
    opened = close + 0.3 * torch.randn(batch, steps, generator=random)
    high, low = torch.maximum(opened, close) + 0.3, torch.minimum(opened, close) - 0.3
    prices = torch.stack([opened, high, low, close], dim=-1)
    sky = torch.stack(waves, dim=-1)
    gaps = torch.randn(batch, steps, 1, generator=random)
    calendar = torch.stack(
        [torch.randint(0, size, (batch, steps), generator=random) for _, size in CALENDAR_FEATURES], dim=-1
    )
    return Window(
        past_waves=torch.cat([prices, gaps, sky], dim=-1)[:, :seq_len],
        past_calendar=calendar[:, :seq_len],
        future_sky=sky[:, seq_len:],
        future_calendar=calendar[:, seq_len:],
        target=prices[:, seq_len:],
        anchor=torch.full((batch,), 7.0, dtype=torch.float64),
        scale=torch.full((batch,), 0.02),
        dates=torch.zeros(batch, 1 + pred_len, dtype=torch.int64),
    )


def _wave(body: str | None, quantity: str, day: Tensor) -> Tensor:
    place = BODIES.index(body or BODIES[0])
    longitude = 0.3 * (place + 1) + day / (3.0 + place**2)
    match quantity:
        case "longitude_sin" | "synodic_sin":
            return longitude.sin()
        case "longitude_cos" | "synodic_cos":
            return longitude.cos()
        case "sign_sin":
            return (12 * longitude).sin()
        case "sign_cos":
            return (12 * longitude).cos()
    return (longitude / 3).cos()


@contextmanager
def float64_by_default() -> Iterator[None]:
    """Within it new tensors, random ones and weights included, are float64.

    Numbers that rest on no processor: in float32 even ``torch.randn`` differs in the last digit between
    instruction sets.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_float64(value: Any) -> Any:
    """``value`` with every floating tensor in it as float64."""
    return map_tensors(lambda t: t.double() if t.is_floating_point() else t, value)


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """``value`` with every tensor in it (in tuples, mappings and bundles) replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: map_tensors(function, getattr(value, f.name)) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    if isinstance(value, tuple):
        return tuple(map_tensors(function, item) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(function, item) for key, item in value.items()}
    return value


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in ``value``, in a fixed order."""
    return list(_tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def scalar_of(output: Any) -> Tensor:
    """One number that depends on every number of ``output``, each with a weight of its own."""
    random = torch.Generator().manual_seed(7)
    total = torch.zeros(())
    for tensor in tensors_of(output):
        total = total + (tensor.float() * torch.randn(tensor.shape, generator=random)).sum()
    return total


def module_of(slot: object) -> nn.Module:
    """What stands in a slot of a model, as the module that it is."""
    assert isinstance(slot, nn.Module)
    return slot


def awake(module: nn.Module) -> nn.Module:
    """``module`` with its zero-initialized parameters moved, as after a first optimizer step."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return module


def only(index: int, value: Any) -> Any:
    """Sample ``index`` of a batch; penalties, which are means over the batch, count as 0."""
    return map_tensors(lambda t: t[index : index + 1] if t.dim() else torch.zeros_like(t), value)


def assert_same(left: Any, right: Any, tolerance: float = 5e-5) -> None:
    """Every tensor of one value is that of the other."""
    for one, other in zip(tensors_of(left), tensors_of(right), strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def differs(left: Any, right: Any) -> bool:
    """Some tensor of one value is not that of the other."""
    pairs = zip(tensors_of(left), tensors_of(right), strict=True)
    return any((one - other).abs().max() > 1e-6 for one, other in pairs)


def saved_for_backward(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """How many numbers a forward pass keeps for the backward pass."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        module(*inputs)
    return kept
