"""Trainings in TrainJobs of a cluster that a test plays, and what was sent to it."""

from pathlib import Path
from typing import Any

import pytest

from components.train.job import Job
from components.train.placement import Placement
from components.train.trainjob import TrainJobLauncher
from tests.training.cluster import FakeCluster, Object, running
from tests.training.prepared import job_for


def patched_pods(spec: Object) -> tuple[Object, Object]:
    """What the job changes of its runtime's pods: their metadata and their specification."""
    [patch] = spec["runtimePatches"]
    [nodes] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    template = nodes["template"]["spec"]["template"]
    return template["metadata"], template.get("spec", {})


def sent_job(job: Object) -> Job:
    """What the processes of the TrainJob are given to do."""
    assert job["spec"]["trainer"]["command"] == ["torchrun"]
    module, text = job["spec"]["trainer"]["args"][1:]
    assert module == "components.train.worker"
    return Job.model_validate_json(text)


def on(cluster: FakeCluster, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The cluster runs, and this process's clients of Kubernetes find it by ``kubeconfig``."""
    pytest.importorskip("kubeflow.trainer", reason="the extra 'trainer' is not installed")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    return running(cluster, kubeconfig)


def by_trainer(dataset: Path, model: Path, uri: str, runtime: str = "torch-distributed") -> dict[str, float]:
    """Train in a TrainJob with something in every setting; returns the metrics."""
    launcher = TrainJobLauncher(
        image="registry.example/train:1",
        resources_per_node={"gpu": "1"},
        namespace="team",
        runtime=runtime,
        env={"AWS_ENDPOINT_URL": "http://seaweedfs.kubeflow:9000"},
        service_account="trainer-with-a-role",
        authorities="store-authorities",
        placement=Placement(
            labels={"team": "quant", "app.kubernetes.io/name": "other"},
            annotations={"sidecar.istio.io/inject": "false"},
            node_selector={"pool": "gpu"},
            pull_secrets=("registry",),
            run_as_user=1234,
        ),
        timeout_seconds=20,
        polling_seconds=1,
    )
    return launcher.run(job_for(dataset, model, checkpoint_uri=uri))
