"""Rules that a pipeline must keep before it may run on a cluster, checked on its compiled form (KFP's IR).

A cluster takes a pipeline that breaks them, and the harm shows later: an image that changed under its name, a pod that
waits forever, a key that everybody can read in the UI.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.steps import ALL_STEPS
from model_core.errors import quoted, redacted
from model_core.variables import ACCESS_KEY, SECRETS

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DATE = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d\d){0,3}"
_COMMIT = re.compile(rf"(?:\A|[-_.])(?!{_DATE}\Z)(?:g|sha)?[0-9a-f]{{7,64}}\Z")
"""At the end of a tag: ``0123456``, ``sha-0123456``, ``main-0123456``, or what ``git describe`` says.
A release's number or a date, such as ``20261127``, is not enough: a later build may be pushed under the same one. A
commit that reads as a date, one in about 50,000 of eight digits, needs more of its digits."""
_KEY_OF_AMAZONS = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|COOKIE|API_?KEY|PRIVATE_?KEY", re.IGNORECASE
)
_NAMES_A_FILE = re.compile(r"_(FILE|PATH|URI|URL|NAME)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pod:
    """A task of the pipeline and the pod that runs it, as the IR describes them."""

    name: str
    """Of the task, as the UI shows it."""
    task: Mapping[str, Any]
    container: Mapping[str, Any]
    kubernetes: Mapping[str, Any]

    @property
    def step(self) -> str:
        """The task's name as settings write it."""
        return self.name.replace("-", "_")

    @property
    def gpus(self) -> str:
        """The accelerators that it asks for, such as ``nvidia.com/gpu``; empty if it asks for none."""
        asked = self.container.get("resources", {}).get("accelerator", {})
        return str(asked.get("resourceType") or asked.get("type") or "") if _count_of(asked) else ""


Rule = Callable[[Pod], Iterator[str]]
"""Finds what is wrong with a pod; each fault, with its remedy, is the rest of a sentence that begins with its name."""


def broken_rules(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> list[str]:
    """Every rule that is broken, as a sentence that names the task.

    Args:
        spec: ``PipelineSpec`` as JSON values.
        platform: ``PlatformSpec`` as JSON values; empty if there is none.
    """
    found = [
        f"{pod.name} {fault}" for pod in pods_of(spec, platform) for rule in RULES for fault in rule(pod)
    ]
    of_all = [*_image_of_a_trainjob(spec), *_secrets_in_parameters(spec)]
    return found + [f"the pipeline {fault}" for fault in of_all]


def pods_of(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[Pod]:
    """The tasks that run in a container, also those within conditions, loops and exit handlers."""
    components = spec.get("components", {})
    containers = spec.get("deploymentSpec", {}).get("executors", {})
    kubernetes = (
        platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    )
    graphs = [spec.get("root", {}), *components.values()]
    for graph in graphs:
        for name, task in graph.get("dag", {}).get("tasks", {}).items():
            component = components.get(task.get("componentRef", {}).get("name", ""), {})
            label = component.get("executorLabel")
            if label in containers and "container" in containers[label]:
                yield Pod(name, task, containers[label]["container"], kubernetes.get(label, {}))


def _fixed_image(pod: Pod) -> Iterator[str]:
    image = str(pod.container.get("image", ""))
    if _may_change(image):
        yield (
            f"has the image {quoted(image)}, which may change under its name; give its digest or the tag of a commit "
            f"(--image {pod.step}=…@sha256:…, --tag)"
        )


def _may_change(image: str) -> bool:
    name, has_digest, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return not (_DIGEST.fullmatch(digest) if has_digest else _COMMIT.search(tag))


def _deadline(pod: Pod) -> Iterator[str]:
    if not _number(pod.kubernetes.get("activeDeadlineSeconds")):
        yield f"has no deadline, so it may wait or hang forever; set {pod.step}.deadline_hours"


def _gpu_pod(pod: Pod) -> Iterator[str]:
    if not pod.gpus:
        return
    memory = [
        each for each in pod.kubernetes.get("emptyDirMounts", []) if each.get("mountPath") == "/dev/shm"
    ]
    if not any(each.get("medium") == "Memory" and each.get("sizeLimit") for each in memory):
        yield (
            "asks for GPUs and has 64 MiB of shared memory, with which PyTorch's processes die; set "
            f"{pod.step}.shared_memory"
        )
    if not pod.kubernetes.get("tolerations"):
        yield (
            f"asks for {pod.gpus} and tolerates no taint, so nodes that are reserved for GPUs do not take it; set "
            f"{pod.step}.tolerations"
        )


def _not_root(pod: Pod) -> Iterator[str]:
    context = pod.kubernetes.get("securityContext", {})
    user = context.get("runAsUser")
    if user is not None and not _number(user):
        yield f"runs as root (runAsUser {user}); set {pod.step}.run_as_user to another number"
    elif not (context.get("runAsNonRoot") or _number(user)):
        yield f"may run as root; set {pod.step}.run_as_user, or runAsNonRoot in its securityContext"


def _safe_retries(pod: Pod) -> Iterator[str]:
    retries = _number(pod.task.get("retryPolicy", {}).get("maxRetryCount"))
    if retries and pod.step not in ALL_STEPS:
        yield f"is tried again {retries} times, and only steps may be, since they can run twice; remove its retries"


def _no_literal_secret(pod: Pod) -> Iterator[str]:
    for variable in pod.container.get("env", []):
        name, value = str(variable.get("name", "")), str(variable.get("value", ""))
        is_secret = name in {ACCESS_KEY, *SECRETS} or (
            _SECRET_NAME.search(name) and not _NAMES_A_FILE.search(name)
        )
        if value and (is_secret or _holds_secret(value)):
            yield (
                f"has a secret in the variable {quoted(name)}, which everybody who sees the pipeline can read; take it "
                "from a Kubernetes Secret (--secret)"
            )
    given = pod.task.get("inputs", {}).get("parameters", {})
    for name, value in given.items():
        if any(_holds_secret(text) for text in _texts(value.get("runtimeValue", {}).get("constant"))):
            yield f"is given a secret as {quoted(name)}; take it from a Kubernetes Secret (--secret)"
    if any(_holds_secret(str(word)) for word in pod.container.get("args", [])):
        yield "has a secret among its arguments; take it from a Kubernetes Secret (--secret)"


RULES: tuple[Rule, ...] = (_fixed_image, _deadline, _gpu_pod, _not_root, _safe_retries, _no_literal_secret)


def _image_of_a_trainjob(spec: Mapping[str, Any]) -> Iterator[str]:
    """Its pods are no tasks of the pipeline: the step of the training makes them, as its settings say."""
    for name, parameter in _parameters(spec):
        image = _mapping(_mapping(parameter.get("defaultValue")).get("launcher")).get("image")
        # None stands there as text: components/entry_points.py.
        if isinstance(image, str) and image != "null" and _may_change(image):
            yield (
                f"starts pods of the image {quoted(image)} ({name}), which may change under its name; give "
                "training.launcher.image by its digest or the tag of a commit"
            )


def _parameters(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {}).items()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _secrets_in_parameters(spec: Mapping[str, Any]) -> Iterator[str]:
    for name, parameter in _parameters(spec):
        if any(_holds_secret(text) for text in _texts(parameter.get("defaultValue"))):
            yield f"has a secret in the default of {quoted(name)}; take it from a Kubernetes Secret (--secret)"


def _holds_secret(text: str) -> bool:
    """Whether ``text`` holds a password in a URI, an access key of Amazon's, or a secret of this environment."""
    return bool(_KEY_OF_AMAZONS.search(text)) or redacted(text) != text


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)


def _count_of(accelerator: Mapping[str, Any]) -> int:
    return _number(accelerator.get("resourceCount") or accelerator.get("count"))


def _number(value: object) -> int:
    """A number as JSON has it, or as protobuf writes large ones; 0 for anything else."""
    try:
        return int(str(value))
    except ValueError:
        return 0
