"""A run for a cluster as a user asks for it; what could only fail in its pods is refused here."""

from dataclasses import dataclass

from components.register_model.registry import checked_registry
from components.steps import REGISTERED_NAME
from model_core.config.run import Settings
from model_core.data.reading.samples import sample_of
from model_core.errors import UserError, quoted
from model_core.store.locate import check_uri, in_object_store, local_path
from model_core.store.names import refuse_bad_run_name
from model_core.web.address import is_readable_on_the_way
from pipelines.kubeflow.address import checked_host
from pipelines.kubeflow.names import refuse_bad_label, refuse_bad_subdomain, refuse_bad_title
from pipelines.kubeflow.schedule import checked_cron
from pipelines.resources import Cluster


@dataclass(frozen=True)
class Submission:
    """One run for a cluster, or a schedule of them.

    Args:
        host: URL of the Kubeflow Pipelines API.
        settings: of all steps.
        cluster: images, accelerators and secret.
        source: ``sample://…``, ``s3://…``, or with ``upload_uri`` a table of this machine.
        source_version: any text that changes when the table at ``source`` does; part of the cache key.
        upload_uri: ``s3://…`` to which a table of this machine is uploaded first; empty for none.
        name: of the run; empty: made from the time.
        experiment: group of runs; made if there is none of that name.
        namespace: Kubernetes namespace, on clusters of several users; empty: the cluster's own.
        service_account: that the run's pods use; empty: the cluster's default.
        pipeline_root: where artifacts go; empty: what the cluster's ``kfp-launcher`` says.
        checkpoint_uri: ``s3://…`` that keeps training checkpoints; empty for none.
        publish_uri: ``s3://…`` that also gets the report; empty for none.
        model_registry: URL of a registry that is offered the model; empty for none.
        registered_name: what it calls the model.
        caching: whether steps may be reused.
        token_over_http: whether the API's credentials may travel unencrypted to another machine.
        register: whether to store the pipeline under its name, so that it can be started from the UI.
        cron: when the cluster starts runs by itself, six fields; empty: one run, now.
        mlflow_experiment: of the MLflow that the cluster's administrator connected; empty: its default.
    """

    host: str
    settings: Settings
    cluster: Cluster
    source: str
    source_version: str = ""
    upload_uri: str = ""
    name: str = ""
    experiment: str = "celestial-enhanced-pgat"
    namespace: str = ""
    service_account: str = ""
    pipeline_root: str = ""
    checkpoint_uri: str = ""
    publish_uri: str = ""
    model_registry: str = ""
    registered_name: str = REGISTERED_NAME
    caching: bool = True
    register: bool = False
    token_over_http: bool = False
    cron: str = ""
    mlflow_experiment: str = ""

    def __post_init__(self) -> None:
        """Refuse what can only fail once the pods run.

        Raises:
            UserError: a bad name or URI, a table or a store that pods cannot reach, or settings that they cannot
                follow with what they get.
        """
        checked_host(self.host)
        self._check_names()
        self._check_uris()
        self._check_source()
        self._check_schedule()
        self._check_training()

    def _check_names(self) -> None:
        if self.name:
            refuse_bad_run_name(self.name, "--name")
        refuse_bad_run_name(self.registered_name, "--registered-name")
        refuse_bad_title(self.experiment, "--experiment")
        if self.mlflow_experiment:
            refuse_bad_title(self.mlflow_experiment, "--mlflow-experiment")
        if self.namespace:
            refuse_bad_label(self.namespace, "--namespace")
        if self.service_account:
            refuse_bad_subdomain(self.service_account, "--service-account")

    def _check_uris(self) -> None:
        self._check_registry()
        uris = {
            "--pipeline-root": self.pipeline_root,
            "--checkpoint-uri": self.checkpoint_uri,
            "--publish-uri": self.publish_uri,
            "--upload-uri": self.upload_uri,
        }
        for flag, uri in uris.items():
            if not uri:
                continue
            check_uri(uri)
            if not in_object_store(uri):
                raise UserError(f"{flag} {quoted(uri)} ends with the pod that uses it; name an s3://… there")
        read_and_written = [self.source, self.checkpoint_uri, self.publish_uri, self.upload_uri]
        remote = [uri for uri in read_and_written if in_object_store(uri)]
        if remote and not self.cluster.opens_a_store:
            raise UserError(
                f"{remote[0]} needs the store's keys; name the Kubernetes Secret that holds them, "
                "e.g. --secret mlpipeline-minio-artifact, or say --store-role where the pods' ServiceAccount has a role"
            )

    def _check_registry(self) -> None:
        if not self.model_registry:
            return
        url = checked_registry(self.model_registry)
        if self.cluster.registry_secret and is_readable_on_the_way(url):
            raise UserError(
                f"--model-registry {url} is not encrypted, and the token of --model-registry-secret would be readable "
                "on the way; use https://, or leave the secret out"
            )
        if not self.cluster.opens_a_store:
            raise UserError(
                "--model-registry compares with the registered model, which pods read from a store; name the "
                "Kubernetes Secret with its keys, e.g. --secret mlpipeline-minio-artifact"
            )

    def _check_source(self) -> None:
        if sample_of(self.source) is not None:
            return
        if in_object_store(self.source):
            check_uri(self.source)
        elif not self.upload_uri:
            raise UserError(
                f"--source {quoted(self.source)}: pods cannot read it; name an s3://… that they can read, or upload "
                "it first with --upload-uri s3://bucket/tables"
            )
        elif local_path(self.source) is None:
            check_uri(self.source)
        elif self.cron:
            raise UserError(
                f"--source {quoted(self.source)} would be uploaded once, and every run of --cron would read the same; "
                "name an s3://… that always holds the newest table"
            )

    def _check_schedule(self) -> None:
        if not self.cron:
            return
        checked_cron(self.cron)
        if self.checkpoint_uri:
            raise UserError(
                "--checkpoint-uri would be shared by all runs of --cron, and a run with another table than the one "
                "before is refused there; leave it out"
            )

    def _check_training(self) -> None:
        settings, pods = self.settings, self.cluster.pods.of_step
        launcher = settings.training.launcher
        if launcher.has_own_pods and not (launcher.image and self.checkpoint_uri):
            raise UserError(
                f"training.launcher.kind is {launcher.kind}, whose pods exchange files through a store; name "
                "training.launcher.image and --checkpoint-uri"
            )
        if launcher.has_a_process_per_gpu and not pods["train"].gpus:
            raise UserError(
                "training.launcher starts a process for each GPU, and the pod of train gets none; use --gpus, or set "
                "training.launcher.processes to a number"
            )
        devices = {"evaluate": settings.evaluation.device, "diagnose": settings.diagnostics.device}
        if not launcher.has_own_pods:
            devices["train"] = settings.training.device
        for step, device in devices.items():
            if device == "cuda" and not pods[step].gpus:
                raise UserError(
                    f"the settings say device: cuda, and the pod of {step} gets no GPU; use --gpus, or set auto"
                )
