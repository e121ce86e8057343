"""Pods that train together over several nodes can be closed to all others."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.train.trainjob import POD_LABELS
from components.train.worker import work
from tests.training.cluster import FakeCluster
from tests.training.prepared import write_tiny_dataset
from tests.training.trainjobs import by_trainer, on, sent_job

MANIFEST = Path(__file__).parents[2] / "manifests" / "trainer-network-policy.yaml"


def test_the_network_policy_has_only_fields_that_kubernetes_knows() -> None:
    client = pytest.importorskip("kubernetes.client")

    class Answer:
        data = json.dumps(yaml.safe_load(MANIFEST.read_text(encoding="utf-8")))

    api = client.ApiClient()
    understood: Any = api.deserialize(Answer, "V1NetworkPolicy")
    assert api.sanitize_for_serialization(understood) == json.loads(Answer.data)


def test_only_pods_of_a_trainjob_may_connect_to_pods_of_a_trainjob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(lambda job: work(sent_job(job)))
    dataset = write_tiny_dataset(tmp_path / "dataset")
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        by_trainer(dataset, tmp_path / "model", f"file://{tmp_path / 'store'}")
    patched = cluster.created[0]["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]
    pod = patched["replicatedJobs"][0]["template"]["spec"]["template"]
    assert POD_LABELS.items() <= pod["metadata"]["labels"].items()

    policy = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]
    assert policy["podSelector"]["matchLabels"] == POD_LABELS
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": POD_LABELS}}]}]
