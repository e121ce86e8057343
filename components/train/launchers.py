"""Where a training step runs: in this process, in several under ``torchrun``, or in a Kubeflow TrainJob.

``launch`` takes what ``components.train.step.run`` takes, and where to run it. All three leave the same
model folder and return the same metrics.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, cast, get_args

import torch

from components.train.step import PRODUCER, run
from components.train.worker import Job
from model_core import errors
from model_core.artifacts import MANIFEST, open_artifact, read_json, refuse_foreign_folder, staged_folder
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.errors import SettingsError, TrainingError
from model_core.store.locate import open_store

log = logging.getLogger("pgat.train")
Launcher = Literal["inline", "torchrun", "trainer"]
SECRET_FOLDER = "/var/run/secrets/checkpoint-store"
STORE_VARIABLES = ("AWS_ENDPOINT_URL", "S3_ENDPOINT", "AWS_REGION")
"""What the pods of a TrainJob must know of this step's store; its keys come from the secret."""
# By default torchrun keeps one store for all restarts, and a new team finds the addresses of the dead one in it.
NEW_STORE_PER_TEAM = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@dataclass(frozen=True)
class Cluster:
    """The Kubeflow Trainer installation that runs a TrainJob."""

    image: str
    """The train step's image."""
    nodes: int = 2
    resources_per_node: dict[str, str] = field(default_factory=dict)
    """For example ``{"gpu": "1", "cpu": "8", "memory": "32Gi"}``."""
    namespace: str | None = None
    """``None``: the one this pod runs in."""
    runtime: str = "torch-distributed"
    secret: str | None = "mlpipeline-minio-artifact"
    """Kubernetes secret with ``accesskey`` and ``secretkey`` of the store; ``None`` mounts none."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment of the pods, e.g. AWS_ENDPOINT_URL; never a secret."""
    timeout_seconds: int = 7 * 24 * 3600
    polling_seconds: int = 10


def launch_as_set(
    *,
    dataset: Path,
    model: Path,
    model_settings: ModelSettings,
    training_settings: TrainingSettings,
    checkpoint_uri: str | None,
    launcher: str | None = None,
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
    processes: str = "gpu",
    max_restarts: int = 3,
    cluster: Cluster | None = None,
) -> dict[str, float]:
    """Train as ``launcher`` says.

    Args:
        dataset, model, model_settings, training_settings, checkpoint_uri: as in ``step.run``.
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
    )
    match launcher:
        case "inline":
            return run(
                dataset=dataset,
                model=model,
                model_settings=model_settings,
                training_settings=training_settings,
                checkpoint_uri=checkpoint_uri,
            )
        case "torchrun":
            if processes == "gpu" and not torch.cuda.is_available():
                raise SettingsError(
                    "the launcher torchrun starts a process per GPU, and torch sees none here; "
                    "set training.launcher.processes to a number"
                )
            _torchrun(job, processes, max_restarts)
        case "trainer":
            if cluster is None or checkpoint_uri is None or "://" not in checkpoint_uri:
                raise SettingsError(
                    "the launcher trainer needs training.launcher.image and a --checkpoint-uri like "
                    "s3://bucket/prefix: the pods of a TrainJob can only exchange files through a store"
                )
            refuse_foreign_folder(model)
            _trainer(job, checkpoint_uri, cluster)
    return _metrics(model)


def _torchrun(job: Job, processes: str, max_restarts: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pgat-") as scratch:
        file, failure = Path(scratch) / "job.json", Path(scratch) / "failure.json"
        file.write_text(job.model_copy(update={"failure": str(failure)}).model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
        command += ["-m", "components.train.worker", str(file)]
        code = _run_to_its_end(command)
        if code == 0:
            return
        if failure.exists():
            told: Any = read_json(failure)
            raise getattr(errors, told["kind"])(told["message"])
        raise TrainingError(f"torchrun ended with exit code {code}; the log above says which process failed")


def _run_to_its_end(command: list[str]) -> int:
    """Run a command; if this process is terminated, its processes are too, and may save before they leave."""
    process = subprocess.Popen(command, env=os.environ | NEW_STORE_PER_TEAM)
    try:
        with _leaving_on_termination():
            return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


@contextmanager
def _leaving_on_termination() -> Iterator[None]:
    """Within it SIGTERM raises ``SystemExit(143)``, so that ``finally`` and ``except`` blocks do their work."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _trainer(job: Job, uri: str, cluster: Cluster) -> None:
    """Upload the dataset, run a TrainJob, fetch the model; the job is deleted whatever happens."""
    try:
        from kubeflow.common.types import KubernetesBackendConfig
        from kubeflow.trainer import CustomTrainerContainer, TrainerClient
        from kubeflow.trainer.options import Name, TrainerArgs, TrainerCommand
    except ImportError as error:
        raise SettingsError("the launcher trainer needs the extra 'trainer'; install kubeflow") from error

    store = open_store(uri)
    for file in sorted(Path(job.dataset).iterdir(), key=lambda path: path.name == MANIFEST):
        store.upload(f"dataset/{file.name}", file)
    remote = job.model_copy(
        update={
            "dataset": f"{uri}/dataset",
            "model": f"{uri}/model",
            "checkpoint_uri": f"{uri}/checkpoints",
            "credentials": SECRET_FOLDER if cluster.secret is not None else None,
        }
    )
    options = [
        Name(name := f"pgat-train-{uuid.uuid4().hex[:8]}"),
        TrainerCommand(["torchrun"]),
        TrainerArgs(["-m", "components.train.worker", remote.model_dump_json()]),
    ]
    if cluster.secret is not None:
        options.append(_mounted_secret(cluster.secret))
    client = TrainerClient(KubernetesBackendConfig(namespace=cluster.namespace))
    try:
        client.train(
            runtime=cluster.runtime,
            trainer=CustomTrainerContainer(
                image=cluster.image,
                num_nodes=cluster.nodes,
                resources_per_node=cluster.resources_per_node or None,
                env=NEW_STORE_PER_TEAM | cluster.env,
            ),
            options=options,
        )
    except (RuntimeError, TimeoutError, ValueError) as error:
        raise TrainingError(
            f"the cluster refused the TrainJob {name}: {error} ({error.__cause__})"
        ) from error
    log.info("TrainJob %s runs on %d nodes", name, cluster.nodes)
    try:
        with _leaving_on_termination():
            client.wait_for_job_status(
                name, timeout=cluster.timeout_seconds, polling_interval=cluster.polling_seconds
            )
    except (RuntimeError, TimeoutError) as error:
        raise TrainingError(
            f"{error}; its pods' logs say why, and {uri}/checkpoints holds what was saved"
        ) from error
    finally:
        # Also when this step is stopped: pods that nobody waits for would go on.
        client.delete_job(name)
    with staged_folder(Path(job.model)) as folder:
        for key in store.keys("model/"):
            store.download(key, folder / key.removeprefix("model/"))
        open_artifact(folder, producer=PRODUCER)


def _mounted_secret(secret: str) -> Any:
    """A patch that mounts the store's secret, since a TrainJob's environment takes literal values only."""
    from kubeflow.trainer.options import (
        ContainerPatch,
        JobSetSpecPatch,
        JobSetTemplatePatch,
        JobSpecPatch,
        JobTemplatePatch,
        PodSpecPatch,
        PodTemplatePatch,
        ReplicatedJobPatch,
        RuntimePatch,
        TrainingRuntimeSpecPatch,
    )

    mount = ContainerPatch(name="node", volume_mounts=[{"name": "store", "mountPath": SECRET_FOLDER}])
    pod = PodSpecPatch(volumes=[{"name": "store", "secret": {"secretName": secret}}], containers=[mount])
    job = JobTemplatePatch(spec=JobSpecPatch(template=PodTemplatePatch(spec=pod)))
    nodes = JobSetSpecPatch(replicated_jobs=[ReplicatedJobPatch(name="node", template=job)])
    return RuntimePatch(
        training_runtime_spec=TrainingRuntimeSpecPatch(template=JobSetTemplatePatch(spec=nodes))
    )


def _metrics(model: Path) -> dict[str, float]:
    """The step's headline metrics, from the model folder that other processes wrote."""
    open_artifact(model, producer=PRODUCER)
    results: dict[str, Any] = read_json(model / "results.json")
    return {
        "best_validation_loss": float(results["best_validation_loss"]),
        "best_epoch": float(results["best_epoch"]),
        "epochs": float(results["last_epoch"]),
        "parameters": float(results["parameters"]["total"]),
        "train_seconds": float(results["seconds"]),
    }
