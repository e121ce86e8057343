"""Settings of everything but the model: one section per part, gathered in ``Settings``. No torch here.

The defaults here are the standard run; ``configs/celestial_enhanced_pgat.yaml`` states and comments
each of them, and a test proves that the two agree.
"""

from typing import Annotated, Literal

from pydantic import Field

from model_core.config.base import Section
from model_core.config.data import DataSettings
from model_core.config.model import ModelSettings


class LauncherSettings(Section):
    """Where training runs."""

    kind: Literal["inline", "torchrun", "trainer"] = "inline"
    """In the step's own process, in several of one pod, or in a Kubeflow TrainJob on several nodes."""
    processes: Annotated[int, Field(ge=1)] | Literal["gpu"] = "gpu"
    """``torchrun``: how many; ``gpu``: one for each."""
    nodes: int = Field(2, ge=1)
    """``trainer``, like all below."""
    image: str | None = None
    """Image of the train step."""
    resources_per_node: dict[str, str] = {"gpu": "1"}
    secret: str | None = None
    """Kubernetes Secret with ``accesskey`` and ``secretkey`` of the store."""


class TrainingSettings(Section):
    """Optimization, precision, checkpoints and diagnostics of the training step."""

    seed: int = 2024
    train_epochs: int = Field(50, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    lradj: Literal["warmup_cosine", "type1", "constant"] = "warmup_cosine"
    lr_update: Literal["epoch", "step"] = "epoch"
    warmup_epochs: int = Field(5, ge=0)
    min_lr: float = Field(1e-6, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip_grad_norm: float | None = Field(1.0, gt=0)
    gradient_accumulation_steps: int = Field(2, ge=1)
    mixed_precision: bool = True
    """On CUDA only; the CPU trains in fp32 unless ``precision`` asks for bf16."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    patience: int = Field(999, ge=1)
    """Epochs without a better validation loss before training stops; 999 never stops it."""
    train_window_stride: int = Field(1, ge=1)
    """Every n-th training window only, for quick runs."""
    checkpoint_interval: int = Field(5, ge=1)
    checkpoint_interval_minutes: float | None = Field(10.0, ge=0)
    """Minutes after which ``last`` is saved within an epoch; 0 saves every step, ``None`` never does."""
    keep_checkpoints: int = Field(3, ge=0)
    mirror_patience_seconds: float = Field(60.0, ge=0)
    """How long the end of a run waits for a slow checkpoint store."""
    termination_grace_seconds: float = Field(20.0, ge=0)
    """How long a run that got SIGTERM may still wait for the store."""
    max_nonfinite_losses: int = Field(3, ge=1)
    memory_log_interval: int = Field(25, ge=1)
    step_log_interval: int = Field(10, ge=1)
    tensorboard: bool = True
    threads: int | None = Field(None, ge=1)
    """CPU threads of a process; ``None``: one a core, within the container's CPU limit."""
    launcher: LauncherSettings = LauncherSettings()


class EvaluationSettings(Section):
    """What the evaluation computes and how sure it wants to be."""

    batch_size: int = Field(64, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Of skill intervals and of the set of forecasts that may be the best."""
    seasonal_period: int = Field(5, ge=1)
    ridge_penalty: float = Field(10.0, ge=0)


Mask = Literal["all", "prices", "sky", "last_days"]
"""Which part of the known days a disturbance may touch."""


class DiagnosticsSettings(Section):
    """Adversarial scenarios; strengths as published."""

    seed: int = 2024
    batch_size: int = Field(64, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_windows: int | None = Field(100, ge=2)
    """So many test windows, spread over the split; ``None`` scores all of them. Windows closer together than
    the horizon share target days and tell little more."""
    max_batches: int | None = Field(None, ge=1)
    """The same in batches; the smaller of the two counts."""
    noise_std: float = Field(0.05, ge=0)
    scale_factor: float = Field(0.25, ge=0)
    dropout_ratio: float = Field(0.1, ge=0, le=1)
    attack_strengths: tuple[float, ...] = (0.01, 0.05, 0.1)
    """Of noise and of FGSM."""
    pgd_strengths: tuple[float, ...] = (0.05,)
    """Of PGD, which costs ``pgd_steps`` gradients for each mask and strength; FGSM shares a single one."""
    attack_masks: tuple[Mask, ...] = ("all", "prices", "sky", "last_days")
    """What noise and attacks may touch."""
    pgd_steps: int = Field(10, ge=1)
    attacks: bool = True
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Of degradation ratios and of what the model loses beyond the random walk."""
    smallest_effect: float = Field(0.01, ge=0)
    """A model is fragile only if its error grows by more than this share, and by as much more than the walk's does."""

    def windows_of(self, available: int) -> int:
        """How many of so many test windows are disturbed."""
        batches = None if self.max_batches is None else self.max_batches * self.batch_size
        return min(n for n in (available, self.max_windows, batches) if n is not None)


class ReportSettings(Section):
    """The review page."""

    title: str = "Celestial Enhanced PGAT"
    example_windows: int = Field(3, ge=1, le=12)


class Settings(Section):
    """Everything one run needs; each step receives its own section only."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()
    report: ReportSettings = ReportSettings()
