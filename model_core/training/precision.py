"""Where and in which precision a run computes."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from model_core.config.run import TrainingSettings
from model_core.errors import SettingsError

Kind = Literal["fp32", "tf32", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """A device and the type that its matrix products run in; weights and sums stay fp32."""

    device: torch.device
    kind: Kind

    def autocast(self) -> AbstractContextManager[object]:
        """Context of a forward pass and its loss."""
        if self.kind not in _DTYPES:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.kind])

    def prepare_device(self) -> None:
        """Set how this process multiplies fp32 matrices on CUDA: ``tf32`` rounds factors to 10 bits."""
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high" if self.kind == "tf32" else "highest")

    def gradient_scaler(self) -> torch.amp.GradScaler:
        """fp16 needs its gradients scaled up; for the others this scaler does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.kind == "fp16")


def resolve_device(asked: str) -> torch.device:
    """``auto`` is CUDA where there is one.

    Raises:
        SettingsError: ``cuda`` was asked for and there is none.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device is cuda, but torch sees no CUDA device; set it to cpu or auto")
    return torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_precision(settings: TrainingSettings) -> Precision:
    """``auto``: bf16 (or fp16 on older cards) on CUDA with ``mixed_precision``, fp32 otherwise.

    Raises:
        SettingsError: fp16 on the CPU, or a device that is not there.
    """
    device = resolve_device(settings.device)
    instead = {"fp16": "bf16 or fp32", "tf32": "fp32"}.get(settings.precision)
    if instead is not None and device.type == "cpu":
        raise SettingsError(
            f"training.precision {settings.precision} needs a CUDA device; use {instead} on the CPU",
            keys=["training.precision"],
        )
    if settings.precision != "auto":
        return Precision(device, settings.precision)
    if device.type == "cpu" or not settings.mixed_precision:
        return Precision(device, "fp32")
    # bf16 has the range of fp32 and needs no scaler; a card without it computes in fp16.
    return Precision(device, "bf16" if torch.cuda.is_bf16_supported() else "fp16")
