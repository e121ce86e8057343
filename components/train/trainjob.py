"""Training on several nodes, in the pods of a Kubeflow TrainJob.

The dataset goes to the store, the pods train from there and leave the model there, and this step fetches it:
pods of a TrainJob cannot write KFP's artifacts.
"""

import logging
import uuid
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.train.job import Job
from components.train.placement import Placement
from components.train.step import PRODUCER, headline_of
from components.train.termination import leaving_on_termination
from components.train.torchrun import NEW_STORE_PER_RESTART
from model_core.artifacts import (
    MANIFEST,
    open_artifact,
    read_manifest,
    refuse_foreign_folder,
    staged_folder,
)
from model_core.build import build_model
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.data.inputs import ModelInputs
from model_core.errors import SettingsError, TrainingError
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import contained, scheme_of
from model_core.variables import AUTHORITIES_FILE, AUTHORITIES_FOLDER, CERTIFICATES

log = logging.getLogger("pgat.train")
SECRET_FOLDER = "/var/run/secrets/checkpoint-store"
POD_LABELS = {"app.kubernetes.io/name": "pgat-trainer"}
"""By which manifests/trainer-network-policy.yaml knows the pods that may talk to each other."""
LOG_LINES = 20
"""Lines of a failed pod's log that this step repeats: a traceback and what led to it."""
NEEDS = (
    "the launcher trainer needs training.launcher.image and a --checkpoint-uri like s3://bucket/prefix: the pods of a "
    "TrainJob can only exchange files through a store"
)


@dataclass(frozen=True)
class TrainJobLauncher:
    """The pods of a Kubeflow TrainJob."""

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
    service_account: str | None = None
    """Of the pods; ``None``: the namespace's default."""
    authorities: str | None = None
    """ConfigMap whose key ``ca.crt`` holds the certificates that the pods trust; ``None``: those of the image."""
    placement: Placement = field(default_factory=Placement)
    """Where the pods may run, and as whom."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment of the pods, e.g. AWS_ENDPOINT_URL; never a secret."""
    timeout_seconds: int = 7 * 24 * 3600
    """After a week the cluster ends the job, whether or not anybody still waits for it."""
    polling_seconds: int = 10

    def run(self, job: Job) -> dict[str, float]:
        """Upload the dataset, run a TrainJob, fetch the model; the job is deleted whatever happens.

        Raises:
            ArtifactError: the dataset is missing or damaged, or something else stands at the model's path.
            SettingsError: the settings do not fit the dataset, no store is given, or no cluster with the runtime can
                be reached.
            StoreError: the store cannot be reached.
            TrainingError: the cluster refused the TrainJob, or it failed.
        """
        if job.checkpoint_uri is None or scheme_of(job.checkpoint_uri) is None:
            raise SettingsError(NEEDS)
        refuse_foreign_folder(Path(job.model))
        # What the pods would refuse is refused here, before anything is uploaded.
        build_model(job.model_settings, ModelInputs.from_dataset(MarketDataset.open(Path(job.dataset))))
        client = _client(self)
        uri = job.checkpoint_uri.rstrip("/")
        store = open_store(uri)
        # Nothing else that may lie there, such as a link to what nobody meant to send.
        for name in [*open_manifest(Path(job.dataset)).files, MANIFEST]:
            store.upload(f"dataset/{name}", contained(Path(job.dataset), name))
        remote = job.model_copy(
            update={
                "dataset": f"{uri}/dataset",
                "model": f"{uri}/model",
                "checkpoint_uri": f"{uri}/checkpoints",
                "kept": None,
                "credentials": SECRET_FOLDER if self.secret is not None else None,
            }
        )
        name = f"pgat-train-{uuid.uuid4().hex[:8]}"
        _create(client, name, remote, self)
        log.info("TrainJob %s runs on %d nodes", name, self.nodes)
        try:
            with leaving_on_termination():
                client.wait_for_job_status(
                    name, timeout=self.timeout_seconds, polling_interval=self.polling_seconds
                )
        except (RuntimeError, TimeoutError) as error:
            _repeat_end_of_log(client, name)
            raise TrainingError(
                f"{error}; the end of its first pod's log is above, and {uri}/checkpoints holds what was saved: the "
                "same command goes on from there"
            ) from error
        finally:
            # Also when this step is stopped: pods that nobody waits for would go on.
            _delete(client, name)
        _fetch(store, Path(job.model))
        return headline_of(Path(job.model))


def _client(launcher: TrainJobLauncher) -> Any:
    try:
        from kubeflow.common.types import KubernetesBackendConfig
        from kubeflow.trainer import TrainerClient
        from kubernetes.config import ConfigException
    except ImportError as error:
        raise SettingsError("the launcher trainer needs the extra 'trainer'; install kubeflow") from error
    try:
        client = TrainerClient(KubernetesBackendConfig(namespace=launcher.namespace))
        client.get_runtime(launcher.runtime)
    except (ConfigException, RuntimeError, TimeoutError) as error:
        raise SettingsError(
            f"the launcher trainer finds no Kubeflow Trainer with the runtime {launcher.runtime} ({error}); run the "
            "step in a pod of such a cluster, or point KUBECONFIG to it"
        ) from error
    return client


def _create(client: Any, name: str, remote: Job, launcher: TrainJobLauncher) -> None:
    from kubeflow.trainer import CustomTrainerContainer
    from kubeflow.trainer.options import ActiveDeadlineSeconds, Name, TrainerArgs, TrainerCommand

    options = [
        Name(name),
        TrainerCommand(["torchrun"]),
        TrainerArgs(["-m", "components.train.worker", remote.model_dump_json()]),
        # The cluster ends it even if this step is gone and cannot.
        ActiveDeadlineSeconds(launcher.timeout_seconds),
        _pods_of(launcher),
    ]
    try:
        client.train(
            runtime=launcher.runtime,
            trainer=CustomTrainerContainer(
                image=launcher.image,
                num_nodes=launcher.nodes,
                resources_per_node=launcher.resources_per_node or None,
                env=NEW_STORE_PER_RESTART
                | ({CERTIFICATES: AUTHORITIES_FILE} if launcher.authorities else {})
                | launcher.env,
            ),
            options=options,
        )
    except (RuntimeError, TimeoutError, ValueError) as error:
        raise TrainingError(
            f"the cluster refused the TrainJob {name}: {error} ({error.__cause__})"
        ) from error


def _repeat_end_of_log(client: Any, name: str) -> None:
    """Log the end of what the first pod said; the pods go with the job."""
    try:
        # It may be of any length.
        lines = deque(client.get_job_logs(name), maxlen=LOG_LINES)
    except (RuntimeError, TimeoutError) as error:
        log.warning("the log of TrainJob %s cannot be read: %s", name, error)
        return
    for line in lines:
        log.error("%s: %s", name, line)


def _delete(client: Any, name: str) -> None:
    try:
        client.delete_job(name)
    except (RuntimeError, TimeoutError) as error:
        log.warning("%s; do it with: kubectl delete trainjob %s", error, name)


def _fetch(store: Store, model: Path) -> None:
    """The files that the model's manifest names; an earlier run may have left others there."""
    with staged_folder(model) as folder:
        store.download(f"model/{MANIFEST}", folder / MANIFEST)
        for name in read_manifest(folder / MANIFEST, producer=PRODUCER).files:
            store.download(f"model/{name}", contained(folder, name))
        open_artifact(folder, producer=PRODUCER)


def _pods_of(launcher: TrainJobLauncher) -> Any:
    """A patch that says where the pods run and as whom, and mounts the store's secret and authorities.

    A job's environment takes literal values only, so the secret cannot stand there.
    """
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

    volumes: list[dict[str, object]] = []
    mounts: list[dict[str, object]] = []
    if launcher.secret is not None:
        volumes.append({"name": "store", "secret": {"secretName": launcher.secret}})
        mounts.append({"name": "store", "mountPath": SECRET_FOLDER})
    if launcher.authorities:
        volumes.append({"name": "authorities", "configMap": {"name": launcher.authorities}})
        mounts.append({"name": "authorities", "mountPath": AUTHORITIES_FOLDER, "readOnly": True})
    where = launcher.placement.for_resources(launcher.resources_per_node)
    user: dict[str, object] = {"runAsNonRoot": True}
    if where.run_as_user is not None:
        user["runAsUser"] = where.run_as_user
    pod = PodSpecPatch(
        service_account_name=launcher.service_account,
        volumes=volumes,
        containers=[ContainerPatch(name="node", volume_mounts=mounts)] if mounts else [],
        image_pull_secrets=[{"name": name} for name in where.pull_secrets],
        security_context=user,
        node_selector=where.node_selector or None,
        affinity=where.affinity or None,
        tolerations=list(where.tolerations or ()),
    )
    metadata = {"labels": where.labels | POD_LABELS}
    if where.annotations:
        metadata["annotations"] = where.annotations
    template = PodTemplatePatch(metadata=metadata, spec=pod)
    job = JobTemplatePatch(spec=JobSpecPatch(template=template))
    nodes = JobSetSpecPatch(replicated_jobs=[ReplicatedJobPatch(name="node", template=job)])
    return RuntimePatch(
        training_runtime_spec=TrainingRuntimeSpecPatch(template=JobSetTemplatePatch(spec=nodes))
    )
