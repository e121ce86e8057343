"""A profile: a file, overrides, and what each step asks for by itself become one record a step.

Where two places set the same thing, the more specific one counts: a step's own section before ``all``, and both
before what ``components/steps.py`` says of the step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.steps import ALL_STEPS, Step
from model_core.config.load import load_section, merged, validated
from model_core.config.run import Settings
from model_core.errors import SettingsError
from pipelines.pods.settings import PodSettings, Profile, Toleration, cores, size_of

FLAG = "--set-pod"


@dataclass(frozen=True)
class Pods:
    """The pod of every step."""

    of_step: Mapping[str, PodSettings]
    checkpoint_interval_minutes: float

    def on_a_cluster(self, settings: Settings) -> Settings:
        """``settings`` whose training saves as often as a pod, which SIGTERM ends at once, needs."""
        wanted = settings.training.checkpoint_interval_minutes
        minutes = min(self.checkpoint_interval_minutes, float("inf") if wanted is None else wanted)
        training = settings.training.model_copy(update={"checkpoint_interval_minutes": minutes})
        return settings.model_copy(update={"training": training})


def load_pods(path: Path | str | None = None, overrides: Sequence[str] = (), gpus: int | None = None) -> Pods:
    """What the pods ask for.

    Args:
        path: profile; None: what each step asks for by itself.
        overrides: each ``step.name=value``, or ``all.name=value``, the value in YAML.
        gpus: of each step that can use them, before what ``overrides`` say; None: the profile's.

    Raises:
        SettingsError: the file is missing or is not YAML, a key is unknown, or a value does not fit.
    """
    more = [] if gpus is None else [f"{step}.gpus={gpus}" for step, needs in ALL_STEPS.items() if needs.gpu]
    profile = load_section(Profile, path, [*more, *overrides], flag=FLAG)
    given = profile.model_dump(exclude_unset=True)
    pods = {}
    for step, needs in ALL_STEPS.items():
        tree = {"retries": needs.retries} | _of_step(needs)
        for name in ("all", step):
            tree = merged(tree, given.get(name, {}), (PodSettings,))
        pods[step] = _tolerating_gpus(validated(PodSettings, tree, step))
        _refuse_contradictions(step, pods[step], needs)
    return Pods(pods, profile.checkpoint_interval_minutes)


def _tolerating_gpus(pod: PodSettings) -> PodSettings:
    """A pod with GPUs, of which nothing is said, goes to nodes that are kept for such pods, too."""
    if not pod.gpus or "tolerations" in pod.model_fields_set:
        return pod
    taint = Toleration(key=f"{pod.gpu_resource.partition('/')[0]}/gpu", effect="NoSchedule")
    return pod.model_copy(update={"tolerations": (taint,)})


def _of_step(needs: Step) -> dict[str, object]:
    return {
        "cpu_request": needs.cpu[0],
        "cpu_limit": needs.cpu[1],
        "memory_request": needs.memory[0],
        "memory_limit": needs.memory[1],
        "deadline_hours": needs.timeout_hours,
        "shared_memory": needs.shared_memory,
    }


def _refuse_contradictions(step: str, pod: PodSettings, needs: Step) -> None:
    for kind, of in (("cpu", cores), ("memory", size_of)):
        request, limit = getattr(pod, f"{kind}_request"), getattr(pod, f"{kind}_limit")
        if of(request) > of(limit):
            raise SettingsError(
                f"{step}.{kind}_request {request} is more than {step}.{kind}_limit {limit}; raise the limit",
                keys=[f"{step}.{kind}_request"],
            )
    if pod.shared_memory is not None and size_of(pod.shared_memory) > size_of(pod.memory_limit):
        raise SettingsError(
            f"{step}.shared_memory {pod.shared_memory} counts as memory and is more than {step}.memory_limit "
            f"{pod.memory_limit}; lower it or raise the limit",
            keys=[f"{step}.shared_memory"],
        )
    if pod.gpus and not needs.gpu:
        able = ", ".join(name for name, other in ALL_STEPS.items() if other.gpu)
        raise SettingsError(
            f"{step}.gpus is {pod.gpus}, and the step {step} uses none; set it for {able} only",
            keys=[f"{step}.gpus"],
        )
    paths = [volume.path.rstrip("/") for volume in pod.volumes]
    taken = {"/tmp", "/dev/shm"} if pod.shared_memory else {"/tmp"}
    if len(set(paths)) < len(paths) or taken & set(paths):
        raise SettingsError(
            f"{step}.volumes puts two things at one path; give each claim its own path, and leave "
            f"{' and '.join(sorted(taken))} out",
            keys=[f"{step}.volumes"],
        )
