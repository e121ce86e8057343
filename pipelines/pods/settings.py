"""What the pods of the steps ask of a cluster: typed like all settings, one section a step.

``make docs`` writes the fields and the text below each into ``docs/resources.md``.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from model_core.config.base import Section, Unit

_CPU = re.compile(r"(\d+(\.\d+)?|\d+m)")
_MEMORY = re.compile(r"(\d+)(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?")
_SCALES: dict[str | None, int] = {None: 1, **{f"{p}i": 2 ** (10 * n) for n, p in enumerate("KMGTPE", 1)}}
_SCALES |= {p: 10 ** (3 * n) for n, p in enumerate("KMGTPE", 1)}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?{_WORD}")
_RESOURCE = re.compile(rf"{_LABEL}(\.{_LABEL})*/{_WORD}")


def _text(value: object) -> object:
    """YAML reads ``cpu_limit: 8`` as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _cpu(text: str) -> str:
    if not _CPU.fullmatch(text) or cores(text) == 0:
        raise ValueError(
            f"{text!r} is not an amount of CPU; write cores, e.g. 2 or 0.5, or thousandths, e.g. 500m"
        )
    return text


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text) or size_of(text) == 0:
        raise ValueError(f"{text!r} is not a size; write e.g. 512Mi or 16Gi")
    return text


def _name(text: str) -> str:
    if not _SUBDOMAIN.fullmatch(text) or len(text) > 253:
        raise ValueError(f"{text!r} is not a Kubernetes name; use small letters, digits, dashes and dots")
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(f"{text!r} is not a label key; write e.g. pool or example.com/pool")
    return text


def _label_value(text: str) -> str:
    if text and not re.fullmatch(_WORD, text):
        raise ValueError(f"{text!r} is not a label value; use up to 63 letters, digits, dashes, dots and _")
    return text


def _resource(text: str) -> str:
    if not _RESOURCE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a resource; write e.g. nvidia.com/gpu, nvidia.com/mig-1g.10gb or amd.com/gpu"
        )
    return text


def _mount_path(text: str) -> str:
    if not re.fullmatch(r"(/[^/\s:]+)+/?", text) or ".." in text.split("/"):
        raise ValueError(f"{text!r} is not a folder in a pod; write an absolute path, e.g. /cache")
    return text


def cores(text: str) -> float:
    """CPUs that a quantity names."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def size_of(text: str) -> int:
    """Bytes that a quantity names."""
    match = _MEMORY.fullmatch(text)
    assert match is not None
    return int(match[1]) * _SCALES[match[2]]


Cpu = Annotated[str, BeforeValidator(_text), AfterValidator(_cpu)]
Memory = Annotated[str, BeforeValidator(_text), AfterValidator(_memory)]
Name = Annotated[str, AfterValidator(_name)]
Key = Annotated[str, AfterValidator(_key)]
LabelValue = Annotated[str, BeforeValidator(_text), AfterValidator(_label_value)]
Resource = Annotated[str, AfterValidator(_resource)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Toleration(Section):
    """A taint of nodes that the pod does not mind."""

    key: Key | None = None
    """Of the taint; ``None``: of any."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """Whether the taint's value matters."""
    value: LabelValue | None = None
    """``Equal``: the taint's value."""
    effect: Effect | None = None
    """Of the taint; ``None``: any."""
    seconds: int | None = Field(None, ge=0)
    """``NoExecute``: for how long; ``None``: for ever."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None) or (
            self.key is None and self.operator == "Equal"
        ):
            raise ValueError("Equal goes with a key and a value, Exists with none of the taint's values")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ValueError("seconds goes with the effect NoExecute alone")
        return self


class NodeRequirement(Section):
    """What a node's label must be, or should be if possible."""

    key: Key
    """Of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    """How it is compared."""
    values: tuple[LabelValue, ...] = ()
    """With what: one or more of ``In`` and ``NotIn``, one number of ``Gt`` and ``Lt``, none otherwise."""
    weight: int | None = Field(None, ge=1, le=100)
    """How much it is preferred; ``None``: it is required."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        match self.operator:
            case "In" | "NotIn":
                fits = bool(self.values)
            case "Gt" | "Lt":
                fits = len(self.values) == 1 and self.values[0].isdecimal()
            case _:
                fits = not self.values
        if not fits:
            raise ValueError(f"the values {list(self.values)} do not go with {self.operator}")
        return self


class Volume(Section):
    """A PersistentVolumeClaim in the pod."""

    claim: Name
    """Its name; it must be there already."""
    path: MountPath
    """Where the pod sees it."""


class PodSettings(Section):
    """The pod of one step."""

    cpu_request: Cpu = "1"
    """What it gets, in cores (``m``: thousandths)."""
    cpu_limit: Cpu = "4"
    """What it may reach; ``train``, ``evaluate`` and ``diagnose`` compute with as many threads."""
    memory_request: Memory = "2Gi"
    """What it gets."""
    memory_limit: Memory = "8Gi"
    """What it may reach before it is killed."""
    gpus: int = Field(0, ge=0, le=64)
    """Accelerators."""
    gpu_resource: Resource = "nvidia.com/gpu"
    """What they are called: a slice of one (MIG) and those of other makers have names of their own."""
    shared_memory: Memory | None = None
    """Size of ``/dev/shm``, which counts as memory; ``None``: 64 MiB. PyTorch's processes share tensors there."""
    deadline_hours: Annotated[float, Unit("hours")] = Field(2.0, gt=0, le=8760)
    """After which the cluster ends it."""
    retries: int = Field(1, ge=0, le=10)
    """By the cluster, after a failure."""
    node_selector: dict[Key, LabelValue] = {}
    """Labels that its node must have, all of them."""
    node_affinity: tuple[NodeRequirement, ...] = ()
    """The same with operators and preferences: ``{key, operator, values, weight}`` each."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that it does not mind: ``{key, operator, value, effect, seconds}`` each; unless it is set, a pod with GPUs
    does not mind that of nodes which are kept for its maker's, e.g. ``nvidia.com/gpu``."""
    labels: dict[Key, LabelValue] = {}
    """Of the pod."""
    annotations: dict[Key, Annotated[str, BeforeValidator(_text)]] = {}
    """Of the pod, e.g. ``sidecar.istio.io/inject: "false"``."""
    pull_secrets: tuple[Name, ...] = ()
    """Secrets with which the node fetches the image."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the node fetches the image; ``None``: the cluster's own."""
    volumes: tuple[Volume, ...] = ()
    """PersistentVolumeClaims: ``{claim, path}`` each."""
    run_as_user: int | None = Field(None, ge=1)
    """Number of the user; ``None``: the image's own, or one that the namespace gives. Never root."""


class Profile(Section):
    """What all pods ask for, and what one step's asks for instead of that."""

    checkpoint_interval_minutes: Annotated[float, Unit("minutes")] = Field(2.0, ge=0)
    """Longest time between two saves of a training. In a pod SIGTERM leaves no time for one, so this much is lost."""
    all: PodSettings = PodSettings()
    """Every step's."""
    prepare_data: PodSettings = PodSettings()
    """The step of that name."""
    train: PodSettings = PodSettings()
    """The step of that name."""
    evaluate: PodSettings = PodSettings()
    """The step of that name."""
    diagnose: PodSettings = PodSettings()
    """The step of that name."""
    report: PodSettings = PodSettings()
    """The step of that name."""
    register_model: PodSettings = PodSettings()
    """Of what registers a model."""
    finish: PodSettings = PodSettings()
    """Of what ends a run."""
