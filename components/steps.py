"""The steps, in the order in which they run, and what a cluster runs beside them: the one list of them.

``pipelines`` gives each step's task its resources from here, ``docker/steps`` prints the names for the Makefile and
the scripts of ``docker``, and ``tests/test_one_place.py`` holds the Dockerfile, the compose file, the locks and the
pipeline's graph to it. A step is a folder of the same name beside this file; ``docs/extending.md`` adds one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step makes, and what it needs. CPU and memory are Kubernetes quantities: what it gets, what it may reach.

    Args:
        output: name of its first output.
        lock: file of ``requirements``, without its ending, that its image installs.
        timeout_hours: after which a cluster ends it.
        retries: by the cluster, after a failure.
        gpu: whether the step uses the cluster's accelerators when there are any.
        shared_memory: size of ``/dev/shm``, where PyTorch's processes share tensors; None: 64 MiB, as every pod has.
    """

    output: str
    lock: str
    cpu: tuple[str, str]
    memory: tuple[str, str]
    timeout_hours: int
    retries: int
    gpu: bool = False
    shared_memory: str | None = None


# docker/steps reads the names: each stands in quotes at the beginning of its line, with `Step(` behind it.
# fmt: off
STEPS: Mapping[str, Step] = {
    "prepare_data": Step(
        output="dataset", lock="prepare-data", cpu=("500m", "2"), memory=("1Gi", "4Gi"), timeout_hours=1, retries=2,
    ),
    # A retried training goes on from its checkpoint URI; without one it starts over.
    "train": Step(
        output="model", lock="train", cpu=("2", "8"), memory=("4Gi", "16Gi"), timeout_hours=24, retries=2, gpu=True,
        shared_memory="8Gi",
    ),
    "evaluate": Step(
        output="evaluation", lock="evaluate", cpu=("1", "4"), memory=("2Gi", "8Gi"), timeout_hours=2, retries=1,
        gpu=True, shared_memory="8Gi",
    ),
    "diagnose": Step(
        output="findings", lock="evaluate", cpu=("1", "4"), memory=("2Gi", "8Gi"), timeout_hours=4, retries=1,
        gpu=True, shared_memory="8Gi",
    ),
    "report": Step(
        output="report", lock="report", cpu=("250m", "1"), memory=("512Mi", "2Gi"), timeout_hours=1, retries=2,
    ),
}

# What a cluster runs beside them: each has its folder, image and pod as a step has.
BESIDE: Mapping[str, Step] = {
    # Where a registry is named and the model is not worse than the best baselines.
    "register_model": Step(
        output="registration", lock="evaluate", cpu=("1", "4"), memory=("2Gi", "8Gi"), timeout_hours=2, retries=1,
    ),
    # It never fails, so it is only begun again if its pod is killed.
    "finish": Step(
        output="page", lock="report", cpu=("100m", "1"), memory=("256Mi", "1Gi"), timeout_hours=1, retries=2,
    ),
}
# fmt: on
ALL_STEPS: Mapping[str, Step] = {**STEPS, **BESIDE}
"""By name, as in Python; images, commands and folders of a cluster write ``-`` for ``_``."""
REGISTERED_NAME = "celestial-enhanced-pgat"
"""What a registry calls the model, unless it is told otherwise."""
NOT_WORSE = "not_worse"
"""What the report step answers of a model that is worse than none of the best baselines: a registry is offered it."""
