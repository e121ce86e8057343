"""Settings of everything but the model: one section per part, gathered in ``Settings``. No torch here.

The defaults here are the standard run; ``make docs`` writes them and the text below each field to
``configs/celestial_enhanced_pgat.yaml`` and ``docs/settings.md``.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator

from model_core.config.base import Section, Unit
from model_core.config.data import DataSettings
from model_core.config.model import ModelSettings
from model_core.config.store import StoreSettings

CompileMode = Literal["off", "default", "reduce-overhead"]
LauncherKind = Literal["inline", "torchrun", "trainer"]


def _compile_mode(value: object) -> object:
    """YAML reads a bare ``off`` as false; true and false are what the setting took before it had modes."""
    return {False: "off", True: "default"}.get(value, value) if isinstance(value, bool) else value


class LauncherSettings(Section):
    """Where training runs."""

    kind: LauncherKind = "inline"
    """In the step's own process, in several of one pod, or in a Kubeflow TrainJob on several nodes."""
    processes: Annotated[int, Field(ge=1)] | Literal["gpu"] = "gpu"
    """``torchrun``: how many; ``gpu``: one for each."""
    nodes: int = Field(2, ge=1)
    """``trainer``: how many, with one process each."""
    image: str | None = None
    """``trainer``: image of the train step."""
    resources_per_node: dict[str, str] = {"gpu": "1"}
    """``trainer``: what a node asks for."""
    secret: str | None = None
    """``trainer``: Kubernetes Secret with ``accesskey`` and ``secretkey`` of the store; ``None``: a role opens it."""
    service_account: str | None = None
    """``trainer``: of its pods, such as one that has a role; ``None``: the namespace's default."""

    @property
    def has_own_pods(self) -> bool:
        """Whether training runs in other pods than the step's."""
        return self.kind == "trainer"

    @property
    def has_a_process_per_gpu(self) -> bool:
        """Whether the step's pod must have GPUs."""
        return self.kind == "torchrun" and self.processes == "gpu"


MOST_SEEDS = 32
"""Members of an ensemble."""


class TrainingSettings(Section):
    """Optimization, precision, checkpoints and diagnostics of the training step."""

    seed: int = 2024
    """Of weights, dropout and the order of windows."""
    seeds: tuple[int, ...] | None = Field(None, min_length=1, max_length=MOST_SEEDS)
    """Train one model for each of these instead of ``seed``, one after the other, and forecast with all of them."""
    train_epochs: Annotated[int, Unit("epochs")] = Field(50, ge=1)
    """Length of the training."""
    shrinkage: bool = True
    """Forecasts keep only as much of what the model learned as its validation windows speak for; see
    docs/keeping.md."""
    batch_size: Annotated[int, Unit("windows")] = Field(16, ge=1)
    """Windows of a forward pass, over all processes."""
    learning_rate: float = Field(1e-3, gt=0)
    """Highest learning rate of Adam."""
    lradj: Literal["warmup_cosine", "type1", "constant"] = "warmup_cosine"
    """How it changes: up and then down to ``min_lr``, halved after each epoch, or not at all."""
    lr_update: Literal["epoch", "step"] = "epoch"
    """When it changes."""
    warmup_epochs: Annotated[int, Unit("epochs")] = Field(5, ge=0)
    """``warmup_cosine``: over which it rises."""
    min_lr: float = Field(1e-6, ge=0)
    """``warmup_cosine``: where it ends."""
    weight_decay: float = Field(1e-4, ge=0)
    """Share of a weight that Adam adds to its gradient."""
    clip_grad_norm: float | None = Field(1.0, gt=0)
    """Largest norm of a step's gradient; ``None``: no clipping."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Of an exponential moving average of the weights, which is validated and saved instead of them; ``None``: none."""
    gradient_accumulation_steps: Annotated[int, Unit("batches")] = Field(2, ge=1)
    """Batches of one optimizer step."""
    mixed_precision: bool = True
    """With ``precision: auto``: bf16 on CUDA, or fp16 on cards without it; the CPU trains in fp32."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Of the forward and backward passes; weights stay in fp32. On the CPU fp16 and tf32 are refused."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: a CUDA device if there is one."""
    compile: Annotated[CompileMode, BeforeValidator(_compile_mode)] = "off"
    """``torch.compile`` of the model, and in which mode: minutes to start, less time a step."""
    cuda_graph: bool = True
    """On CUDA, record a whole step once and replay it. Steps of several processes, of ``gradient_checkpointing`` and of
    ``compile: reduce-overhead`` are not recorded."""
    patience: Annotated[int, Unit("epochs")] = Field(999, ge=1)
    """Without a better validation loss before training stops; 999 never stops it."""
    train_window_stride: Annotated[int, Unit("windows")] = Field(1, ge=1)
    """Every n-th training window only, for quick runs."""
    checkpoint_interval: Annotated[int, Unit("epochs")] = Field(5, ge=1)
    """Between two checkpoints that are kept besides the best and the last."""
    checkpoint_interval_minutes: Annotated[float, Unit("minutes"), Field(ge=0)] | None = 10.0
    """Between two saves of the last checkpoint within an epoch; 0: every step, ``None``: never."""
    keep_checkpoints: int = Field(3, ge=0)
    """How many of those of ``checkpoint_interval`` are kept."""
    mirror_patience_seconds: Annotated[float, Unit("seconds")] = Field(60.0, ge=0)
    """For all that is left to do at the checkpoint store when the work is done."""
    termination_grace_seconds: Annotated[float, Unit("seconds")] = Field(20.0, ge=0)
    """The same after SIGTERM, counted from its arrival."""
    max_nonfinite_losses: int = Field(3, ge=1)
    """In a row, before training fails."""
    memory_log_interval: Annotated[int, Unit("batches")] = Field(25, ge=1)
    """Between two lines of the memory log."""
    step_log_interval: Annotated[int, Unit("optimizer steps")] = Field(10, ge=1)
    """Between two lines of ``steps.jsonl``."""
    tensorboard: bool = True
    """Write a log for TensorBoard."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of a process; ``None``: one a core, within the container's CPU limit."""
    launcher: LauncherSettings = LauncherSettings()
    """Where training runs; see docs/devices.md."""

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("two members with the same seed would be the same model; name each seed once")
        return value

    def of_members(self) -> list[Self]:
        """The settings of every model that is trained: one for each seed."""
        seeds = (self.seed,) if self.seeds is None else self.seeds
        return [self.model_copy(update={"seed": seed, "seeds": None}) for seed in seeds]


class EvaluationSettings(Section):
    """What the evaluation computes and how sure it wants to be."""

    batch_size: Annotated[int, Unit("windows")] = Field(64, ge=1)
    """Windows of a forward pass."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: a CUDA device if there is one."""
    confidence: Annotated[float, Unit("probability")] = Field(0.95, gt=0.5, lt=1)
    """Of skill intervals and of the set of forecasts that may be the best."""
    seasonal_period: Annotated[int, Unit("rows")] = Field(5, ge=1)
    """Of the seasonal naive baseline."""
    ridge_penalty: float = Field(10.0, ge=0)
    """Of the ridge regression among the baselines."""
    importance_windows: Annotated[int, Unit("windows")] = Field(64, ge=0)
    """Test windows in which each part of the sky is exchanged with that of another one, spread over the span; 0: none.
    The default fills one batch; of the sample tables those windows lie more than a horizon apart."""
    importance_draws: int = Field(1, ge=1)
    """How often each part is exchanged: each takes as long as that many forecasts of ``importance_windows``."""


Mask = Literal["all", "prices", "sky", "last_days"]
"""Which part of the known days a perturbation may touch."""


class DiagnosticsSettings(Section):
    """Perturbations of the test windows; strengths as published."""

    seed: int = 2024
    """Of the random perturbations."""
    batch_size: Annotated[int, Unit("windows")] = Field(64, ge=1)
    """Windows of a forward pass."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: a CUDA device if there is one."""
    max_windows: Annotated[int, Unit("windows"), Field(ge=2)] | None = 100
    """Test windows that are perturbed, spread over the span; ``None``: all of them. Windows closer together than the
    horizon share target days and tell little more."""
    max_batches: Annotated[int, Unit("batches"), Field(ge=1)] | None = None
    """The same in batches; the smaller of the two counts."""
    noise_std: Annotated[float, Unit("model input")] = Field(0.05, ge=0)
    """Deviation of the noise of the perturbation gaussian_noise."""
    scale_factor: float = Field(0.25, ge=0)
    """Of the perturbation scale_spike: every input wave is multiplied by 1 plus this."""
    dropout_ratio: Annotated[float, Unit("probability")] = Field(0.1, ge=0, le=1)
    """Of the perturbation feature_dropout: for a wave of a window to be 0 on all of its days."""
    attack_strengths: tuple[float, ...] = (0.01, 0.05, 0.1)
    """Of noise and of FGSM, which shares one gradient a window between them."""
    pgd_strengths: tuple[float, ...] = (0.05,)
    """Of PGD, which costs ``pgd_steps`` gradients a window for each mask and strength."""
    attack_masks: tuple[Mask, ...] = ("all", "prices", "sky", "last_days")
    """What noise and attacks may touch."""
    pgd_steps: int = Field(10, ge=1)
    """Steps of PGD."""
    attacks: bool = True
    """Attacks along the gradient besides the other perturbations."""
    confidence: Annotated[float, Unit("probability")] = Field(0.95, gt=0.5, lt=1)
    """Of degradation ratios and of what the model loses beyond the random walk."""
    smallest_effect: Annotated[float, Unit("share of the error")] = Field(0.05, ge=0)
    """A model is fragile only if its error grows by more than this share, and by as much more than the walk's does."""

    def windows_of(self, available: int) -> int:
        """How many of ``available`` test windows are perturbed."""
        batches = None if self.max_batches is None else self.max_batches * self.batch_size
        return min(n for n in (available, self.max_windows, batches) if n is not None)


class ReportSettings(Section):
    """The review page."""

    title: str = "Celestial Enhanced PGAT"
    """Of the page."""
    example_windows: Annotated[int, Unit("windows")] = Field(3, ge=1, le=12)
    """Forecasts that are drawn as candles."""


class Settings(Section):
    """Everything one run needs; each step receives its own section only."""

    data: DataSettings = DataSettings()
    """From a market table to a prepared dataset; see docs/data.md."""
    model: ModelSettings = ModelSettings()
    """The model; see docs/model.md."""
    training: TrainingSettings = TrainingSettings()
    """Optimization, precision and checkpoints; see docs/training.md."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Scores beside baselines; see docs/evaluation.md."""
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()
    """Perturbed inputs and attacks; strengths in the units of the model's input."""
    report: ReportSettings = ReportSettings()
    """The review page."""
    store: StoreSettings = StoreSettings()
    """How long an object store may take, in every step that asks one; see docs/stores-and-disks.md."""

    def of_steps(self) -> dict[str, Section]:
        """What the steps' results depend on: each section but ``store``, which reaches the steps by the environment."""
        return {name: section for name, section in self if name != "store"}
