"""A TrainJob trains from the store and its model is collected; what it cannot do is a sentence."""

import json
import os
from pathlib import Path

import pytest

from components.train.launchers import launcher_of
from components.train.placement import Placement
from components.train.trainjob import POD_LABELS, SECRET_FOLDER, TrainJobLauncher
from components.train.worker import main, work
from model_core.artifacts import open_artifact
from model_core.config.run import LauncherSettings
from model_core.errors import ArtifactError, SettingsError, TrainingError
from tests.training.cluster import FakeCluster, Object
from tests.training.prepared import job_for
from tests.training.trainjobs import by_trainer, on, patched_pods, sent_job


def test_a_trainjob_trains_from_the_store_and_its_model_is_collected(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(job: Object) -> None:
        work(sent_job(job))

    cluster = FakeCluster(execute)
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        metrics = by_trainer(dataset, tmp_path / "model", f"file://{tmp_path / 'store'}")
    open_artifact(tmp_path / "model", producer="train")
    assert metrics["epochs"] == 2
    assert cluster.deleted == [job["metadata"]["name"] for job in cluster.created]
    spec = cluster.created[0]["spec"]
    assert spec["runtimeRef"]["name"] == "torch-distributed"
    assert spec["trainer"]["image"] == "registry.example/train:1"
    assert spec["trainer"]["numNodes"] == 2
    assert spec["trainer"]["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": "1"}
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://seaweedfs.kubeflow:9000"} in spec["trainer"]["env"]
    assert spec["activeDeadlineSeconds"] == 20
    assert {"name": "SSL_CERT_FILE", "value": "/etc/pgat-authorities/ca.crt"} in spec["trainer"]["env"]
    metadata, pod = patched_pods(spec)
    assert metadata == {
        "labels": {"team": "quant", **POD_LABELS},
        "annotations": {"sidecar.istio.io/inject": "false"},
    }
    assert pod == {
        "imagePullSecrets": [{"name": "registry"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1234},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "serviceAccountName": "trainer-with-a-role",
        "volumes": [
            {"name": "store", "secret": {"secretName": "mlpipeline-minio-artifact"}},
            {"name": "authorities", "configMap": {"name": "store-authorities"}},
        ],
        "containers": [
            {
                "name": "node",
                "volumeMounts": [
                    {"name": "store", "mountPath": SECRET_FOLDER},
                    {"name": "authorities", "mountPath": "/etc/pgat-authorities", "readOnly": True},
                ],
            }
        ],
    }


def test_pods_without_a_secret_or_authorities_get_no_volumes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(lambda job: work(sent_job(job)))
    launcher = TrainJobLauncher(
        image="registry.example/train:1", namespace="team", secret=None, polling_seconds=1
    )
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        launcher.run(job_for(dataset, tmp_path / "model", checkpoint_uri=f"file://{tmp_path / 'store'}"))
    spec = cluster.created[0]["spec"]
    assert patched_pods(spec) == ({"labels": POD_LABELS}, {"securityContext": {"runAsNonRoot": True}})
    assert "SSL_CERT_FILE" not in json.dumps(spec["trainer"])


def test_a_trainjob_trusts_whom_the_pod_of_the_step_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LauncherSettings(kind="trainer", image="registry.example/train:1")
    for name in (None, "", "store-authorities"):
        if name is not None:
            monkeypatch.setenv("PGAT_CA_CONFIG_MAP", name)
        launcher = launcher_of(settings)
        assert isinstance(launcher, TrainJobLauncher)
        assert launcher.authorities == (name or None)


@pytest.mark.parametrize(
    ("resources", "tolerated"),
    [
        ({"gpu": "1", "cpu": "8", "memory": "32Gi"}, ["nvidia.com/gpu"]),
        ({"mig-1g.5gb": "1"}, ["nvidia.com/gpu"]),
        ({"amd.com/gpu": "2"}, ["amd.com/gpu"]),
        ({"cpu": "8", "ephemeral-storage": "10Gi", "rdma/hca": "1"}, []),
    ],
)
def test_pods_with_gpus_tolerate_their_makers_taint_unless_more_is_said(
    resources: dict[str, str], tolerated: list[str]
) -> None:
    found = Placement().for_resources(resources)
    assert [each["key"] for each in found.tolerations or ()] == tolerated
    said = Placement(tolerations=({"operator": "Exists"},))
    assert said.for_resources(resources) == said


def test_a_damaged_placement_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LauncherSettings(kind="trainer", image="registry.example/train:1")
    for text in ("[]", "{", '{"nodes": {}}', '{"labels": 3}'):
        monkeypatch.setenv("PGAT_TRAINJOB_PODS", text)
        with pytest.raises(
            SettingsError, match=r"^PGAT_TRAINJOB_PODS does not say where pods run .*; .* unset it$"
        ):
            launcher_of(settings)


def test_a_trainjob_that_fails_is_deleted_and_reported_with_its_last_words(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def execute(job: Object) -> None:
        raise SystemExit(1)

    words = "\n".join(f"line {number}" for number in range(30))
    cluster = FakeCluster(execute, words)
    with (
        on(cluster, tmp_path / "kubeconfig", monkeypatch),
        pytest.raises(TrainingError, match=r"is Failed; the end of its first pod's log is above"),
    ):
        by_trainer(dataset, tmp_path / "model", f"file://{tmp_path / 'store'}")
    assert len(cluster.deleted) == 1
    assert not (tmp_path / "model").exists()
    assert [r.message.rpartition(": ")[2] for r in caplog.records if r.levelname == "ERROR"] == (
        words.splitlines()[-20:]
    )


def test_a_trainjob_that_may_not_be_deleted_is_named_and_its_model_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = FakeCluster(lambda job: work(sent_job(job)), locked=True)
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        by_trainer(dataset, tmp_path / "model", f"file://{tmp_path / 'store'}/")
    open_artifact(tmp_path / "model", producer="train")
    assert f"kubectl delete trainjob {cluster.created[0]['metadata']['name']}" in caplog.text


def test_what_the_pods_would_refuse_is_refused_before_anything_is_uploaded(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(lambda job: None)
    uri = f"file://{tmp_path / 'store'}"
    with on(cluster, tmp_path / "kubeconfig", monkeypatch):
        with pytest.raises(ArtifactError, match="give the output folder of the prepare_data step"):
            by_trainer(tmp_path / "nowhere", tmp_path / "model", uri)
        with pytest.raises(SettingsError, match="finds no Kubeflow Trainer with the runtime mpi"):
            by_trainer(dataset, tmp_path / "model", uri, runtime="mpi")
    assert [path.name for path in tmp_path.iterdir()] == ["kubeconfig"]
    assert not cluster.created


def test_a_worker_reads_the_stores_secret_from_the_mounted_folder(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "old")
    (tmp_path / "accesskey").write_text("user\n")
    (tmp_path / "secretkey").write_text("secret\n")
    main([job_for(dataset, tmp_path / "model", credentials=str(tmp_path)).model_dump_json()])
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == ("user", "secret")


def test_the_trainer_needs_a_store(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"needs training\.launcher\.image and a --checkpoint-uri"):
        TrainJobLauncher(image="registry.example/train:1").run(job_for(dataset, tmp_path / "model"))
