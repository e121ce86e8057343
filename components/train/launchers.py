"""Where a training step runs: in this process, in several under ``torchrun``, or in a Kubeflow TrainJob.

``launch`` takes what ``components.train.step.run`` takes, and where to run it. All three leave the same
model folder and return the same metrics.
"""

import os
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from components.train.step import PRODUCER, headline, run
from components.train.torchrun import run_torchrun
from components.train.trainjob import Cluster, run_trainjob
from components.train.worker import Job
from components.work import Work
from model_core.artifacts import open_artifact, refuse_foreign_folder
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.deadlines import LIMITS
from model_core.errors import SettingsError
from model_core.results.record import read_result
from model_core.results.training import TrainResults

Launcher = Literal["inline", "torchrun", "trainer"]
STORE_VARIABLES = ("AWS_ENDPOINT_URL", "S3_ENDPOINT", "AWS_REGION", LIMITS)
"""What the pods of a TrainJob must know of this step's store; its keys come from the secret."""


def launch_as_set(
    *,
    dataset: Path,
    model: Path,
    model_settings: ModelSettings,
    training_settings: TrainingSettings,
    checkpoint_uri: str | None,
    launcher: str | None = None,
    kept: Work | None = None,
) -> dict[str, float]:
    """Train as ``training_settings.launcher`` says; ``launcher`` goes before its ``kind``.

    Raises:
        SettingsError: there is no such launcher, or it lacks what it needs.
        Everything else as ``launch``.
    """
    options = training_settings.launcher
    kind = options.kind if launcher is None else launcher
    if kind not in get_args(Launcher):
        raise SettingsError(f"{kind} is no launcher; choose one of {', '.join(get_args(Launcher))}")
    cluster = options.image and Cluster(
        image=options.image,
        nodes=options.nodes,
        resources_per_node=options.resources_per_node,
        secret=options.secret,
        env={name: os.environ[name] for name in STORE_VARIABLES if name in os.environ},
    )
    return launch(
        cast(Launcher, kind),
        dataset=dataset,
        model=model,
        model_settings=model_settings,
        training_settings=training_settings,
        checkpoint_uri=checkpoint_uri,
        kept=kept,
        processes=str(options.processes),
        cluster=cluster or None,
    )


def launch(
    launcher: Launcher,
    *,
    dataset: Path,
    model: Path,
    model_settings: ModelSettings,
    training_settings: TrainingSettings,
    checkpoint_uri: str | None = None,
    kept: Work | None = None,
    processes: str = "gpu",
    max_restarts: int = 3,
    cluster: Cluster | None = None,
) -> dict[str, float]:
    """Train as ``launcher`` says.

    Args:
        dataset, model, model_settings, training_settings, checkpoint_uri, kept: as in ``step.run``.
        processes: ``torchrun`` only: how many, or ``gpu`` for one per GPU.
        max_restarts: ``torchrun`` only: how often the team is started again after a process died.
        cluster: ``trainer`` only.

    Raises:
        SettingsError: the launcher lacks what it needs.
        TrainingError: the processes or the TrainJob failed.
        Everything else as ``step.run``.
    """
    job = Job(
        dataset=str(dataset),
        model=str(model),
        model_settings=model_settings,
        training_settings=training_settings,
        checkpoint_uri=checkpoint_uri,
        kept=kept,
    )
    match launcher:
        case "inline":
            return run(
                dataset=dataset,
                model=model,
                model_settings=model_settings,
                training_settings=training_settings,
                checkpoint_uri=checkpoint_uri,
                kept=kept,
            )
        case "torchrun":
            if processes == "gpu" and not torch.cuda.is_available():
                raise SettingsError(
                    "the launcher torchrun starts a process per GPU, and torch sees none here; "
                    "set training.launcher.processes to a number"
                )
            run_torchrun(job, processes, max_restarts)
        case "trainer":
            if cluster is None or checkpoint_uri is None or "://" not in checkpoint_uri:
                raise SettingsError(
                    "the launcher trainer needs training.launcher.image and a --checkpoint-uri like "
                    "s3://bucket/prefix: the pods of a TrainJob can only exchange files through a store"
                )
            refuse_foreign_folder(model)
            run_trainjob(job, checkpoint_uri, cluster)
    return _metrics(model)


def _metrics(model: Path) -> dict[str, float]:
    """The step's headline metrics, from the model folder that other processes wrote."""
    open_artifact(model, producer=PRODUCER)
    return headline(read_result(TrainResults, model))
