"""How large a checkpoint becomes in memory, told from what its files say before anything of that size is made.

Whoever can write to a store can write settings that ask for a model of a terabyte beside weights of a kilobyte, and an
archive of a kilobyte that unpacks to gigabytes.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model_core.build import build_model
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError

Shape = tuple[int, ...]
_LAYERS = 64
"""Up to this many layers are taken from the settings, whatever the weights hold."""
_DRAWS = {nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, nn.init.constant_}
_KEEPS_SHAPE = {Tensor.uniform_, Tensor.normal_, Tensor.__mul__, Tensor.mul, Tensor.__truediv__, Tensor.div}


class _ShapesAlone(TorchFunctionMode):
    """Draws and scales no weights: on the meta device the first such call imports torch's compiler for a second."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _DRAWS:
            return (kwargs or {})["tensor"]
        if func in _KEEPS_SHAPE and not any(isinstance(other, Tensor) for other in args[1:]):
            return args[0]
        if func is torch.randn and not kwargs:
            return torch.empty(*args)
        return func(*args, **(kwargs or {}))


def refuse_other_shapes(weights: Path, settings: ModelSettings, inputs: ModelInputs) -> None:
    """Compare the weights' shapes with those of the model that the settings describe, without building it.

    Raises:
        CheckpointError: they differ, or the file is damaged.
    """
    held = _shapes_in(weights)
    # Counting layers by building them would take as long as somebody says there are.
    layers = max(settings.e_layers, settings.d_layers, settings.celestial_fusion_layers)
    if layers > max(len(held), _LAYERS):
        raise CheckpointError(
            f"{weights} does not hold the {layers:,} layers of its settings; train again", path=weights
        )
    try:
        wanted = shapes_of(settings, inputs)
    except (RuntimeError, TypeError) as error:  # sizes beyond any number of bytes
        raise CheckpointError(
            f"the settings beside {weights} describe a model that cannot exist ({error}); train again",
            path=weights,
        ) from error
    for name in sorted(held.keys() | wanted.keys()):
        if held.get(name) != wanted.get(name):
            found, asked = (str(shapes.get(name, "none")) for shapes in (held, wanted))
            raise CheckpointError(
                f"the weights in {weights.parent} do not fit the model ({name}: {found} instead of {asked}); train "
                "again",
                path=weights,
            )


def shapes_of(settings: ModelSettings, inputs: ModelInputs) -> dict[str, Shape]:
    """By name, those of the weights that ``build_model`` would make; nothing of their size is made.

    Raises:
        RuntimeError, TypeError: a size is beyond any number of bytes.
    """
    with torch.device("meta"), _ShapesAlone():
        return {name: tuple(t.shape) for name, t in build_model(settings, inputs).state_dict().items()}


def read_state(archive: Path) -> dict[str, Any]:
    """A mapping that ``torch.save`` wrote: tensors and plain values only, no pickled code.

    Raises:
        CheckpointError: it is another kind of file, holds something else, or would unpack to more than its size.
    """
    _refuse_compressed(archive)
    try:
        state = torch.load(archive, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reads what it finds unchecked, and stumbles in ways of its own
        raise CheckpointError(
            f"{archive} holds something other than tensors and plain values; train again",
            path=archive,
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{archive} does not hold the state of a training run; train again", path=archive
        )
    return state


def _refuse_compressed(archive: Path) -> None:
    """Check that a file of ``torch.save`` holds what it takes on disk and no more: torch writes without compression."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{archive} is not a torch file ({error}); train again", path=archive
        ) from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > archive.stat().st_size:
        raise CheckpointError(
            f"{archive} unpacks to more than its size, which no file of torch does; train again", path=archive
        )


def _shapes_in(weights: Path) -> dict[str, Shape]:
    try:
        with safe_open(weights, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{weights} is not a weights file ({error}); train again", path=weights
        ) from error
