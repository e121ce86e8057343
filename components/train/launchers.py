"""Where a training step runs: in this process, in several under ``torchrun``, or in a Kubeflow TrainJob.

A launcher is a small class with one ``run(job)``. All three leave the same model folder and return the same metrics.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args

from pydantic import ValidationError

from components.tracking.running import log_parameters, log_training
from components.train import step
from components.train.job import Job
from components.train.placement import Placement
from components.train.torchrun import TorchrunLauncher
from components.train.trainjob import NEEDS, TrainJobLauncher
from model_core.config.run import LauncherKind, LauncherSettings
from model_core.errors import SettingsError, shortened
from model_core.variables import AUTHORITIES, PLACEMENT, WHEREABOUTS


class Launcher(Protocol):
    """Somewhere to train."""

    def run(self, job: Job) -> dict[str, float]:
        """Train, and return the step's headline metrics.

        Raises:
            SettingsError: the launcher lacks what it needs.
            TrainingError: the processes or the TrainJob failed.
            Everything else as ``step.run``.
        """
        ...


@dataclass(frozen=True)
class InlineLauncher:
    """This process."""

    def run(self, job: Job) -> dict[str, float]:
        """As ``step.run``."""
        return step.run(job)


def launch_from_settings(job: Job, kind: str | None = None) -> dict[str, float]:
    """Train where ``training_settings.launcher`` says.

    Args:
        kind: takes precedence over the settings' own.

    Raises:
        SettingsError: there is no launcher of this kind, or it lacks what it needs.
        Everything else as ``Launcher.run``.
    """
    launcher = launcher_of(job.training_settings.launcher, kind)
    sections = {"model": job.model_settings, "training": job.training_settings}
    log_parameters({name: section.model_dump(mode="json") for name, section in sections.items()})
    metrics = launcher.run(job)
    log_training(Path(job.model))
    return metrics


def launcher_of(settings: LauncherSettings, kind: str | None = None) -> Launcher:
    """The launcher that the settings, or ``kind`` instead of theirs, ask for.

    Raises:
        SettingsError: there is no launcher of this kind, or it lacks what it needs.
    """
    match kind or settings.kind:
        case "inline":
            return InlineLauncher()
        case "torchrun":
            return TorchrunLauncher(settings.processes)
        case "trainer":
            if settings.image is None:
                raise SettingsError(NEEDS)
            return TrainJobLauncher(
                image=settings.image,
                nodes=settings.nodes,
                resources_per_node=settings.resources_per_node,
                secret=settings.secret,
                service_account=settings.service_account,
                authorities=os.environ.get(AUTHORITIES) or None,
                placement=_placement(),
                # The store's keys come from the secret.
                env={name: os.environ[name] for name in WHEREABOUTS if name in os.environ},
            )
        case unknown:
            choices = ", ".join(get_args(LauncherKind))
            raise SettingsError(f"{unknown} is not a launcher; choose one of {choices}")


def _placement() -> Placement:
    """Of the pods of a TrainJob, as this step's own pod was told.

    Raises:
        SettingsError: that is damaged.
    """
    try:
        return Placement.model_validate_json(os.environ.get(PLACEMENT) or "{}")
    except ValidationError as error:
        raise SettingsError(
            f"{PLACEMENT} does not say where pods run ({shortened(str(error.errors()[0]['msg']))}); leave it to "
            "pipelines submit, or unset it"
        ) from error
