"""All launchers leave the same model; what they cannot do is a sentence."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.train.job import Job
from components.train.launchers import InlineLauncher, launch_from_settings, launcher_of
from components.train.placement import Placement
from components.train.torchrun import TorchrunLauncher
from components.train.trainjob import POD_LABELS, SECRET_FOLDER, TrainJobLauncher
from components.train.worker import main, work
from model_core.artifacts import open_artifact
from model_core.config.run import LauncherSettings
from model_core.errors import ArtifactError, SettingsError, TrainingError
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from tests.starting.stand_in import REAL_PYTHON
from tests.training.cluster import FakeCluster, Object, running
from tests.training.prepared import MODEL, TRAINING
from tests.training.processes import HANGS_AFTER, started_later
from tests.training.tiny import json_lines

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


def patched_pods(spec: Object) -> tuple[Object, Object]:
    """What the job changes of its runtime's pods: their metadata and their specification."""
    [patch] = spec["runtimePatches"]
    [nodes] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    template = nodes["template"]["spec"]["template"]
    return template["metadata"], template.get("spec", {})


def sent_job(job: Object) -> Job:
    assert job["spec"]["trainer"]["command"] == ["torchrun"]
    module, text = job["spec"]["trainer"]["args"][1:]
    assert module == "components.train.worker"
    return Job.model_validate_json(text)


def on(cluster: FakeCluster, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("kubeflow.trainer", reason="the extra 'trainer' is not installed")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    return running(cluster, kubeconfig)


def job_for(dataset: Path, model: Path, **more: object) -> Job:
    return Job.model_validate(
        {"dataset": dataset, "model": model, "model_settings": MODEL, "training_settings": TRAINING, **more}
    )


def by_trainer(dataset: Path, model: Path, uri: str, runtime: str = "torch-distributed") -> dict[str, float]:
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
        "securityContext": {"runAsUser": 1234},
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
    assert patched_pods(spec) == ({"labels": POD_LABELS}, {})
    assert "SSL_CERT_FILE" not in json.dumps(spec["trainer"])


def test_a_trainjob_trusts_whom_the_pod_of_the_step_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LauncherSettings(kind="trainer", image="registry.example/train:1")
    for name in (None, "store-authorities"):
        if name is not None:
            monkeypatch.setenv("PGAT_CA_CONFIG_MAP", name)
        launcher = launcher_of(settings)
        assert isinstance(launcher, TrainJobLauncher)
        assert launcher.authorities == name


@pytest.mark.parametrize(
    ("resources", "tolerated"),
    [
        ({"gpu": "1", "cpu": "8", "memory": "32Gi"}, ["nvidia.com/gpu"]),
        ({"mig-1g.5gb": "1"}, ["nvidia.com/gpu"]),
        ({"amd.com/gpu": "2"}, ["amd.com/gpu"]),
        ({"cpu": "8", "ephemeral-storage": "10Gi"}, []),
    ],
)
def test_pods_with_gpus_tolerate_their_makers_taint_unless_more_is_said(
    resources: dict[str, str], tolerated: list[str]
) -> None:
    found = Placement().for_resources(resources)
    assert [each["key"] for each in found.tolerations] == tolerated
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


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.usefixtures("preloaded")
def test_the_settings_choose_torchrun_and_two_processes_take_the_first_step_of_one(
    dataset: Path, tmp_path: Path
) -> None:
    InlineLauncher().run(job_for(dataset, tmp_path / "inline"))
    two = TRAINING.model_copy(update={"launcher": LauncherSettings(kind="torchrun", processes=2)})
    metrics = launch_from_settings(job_for(dataset, tmp_path / "torchrun", training_settings=two))
    results = read_result(TrainResults, tmp_path / "torchrun")
    assert results.processes == 2
    assert metrics["best_validation_loss"] == results.best_validation_loss
    # The first step only: what rounds differently before it is amplified by training (docs/devices.md). That
    # all steps are the same but for rounding is what test_distributed.py shows, in float64.
    ours, theirs = (json_lines(tmp_path / name / "steps.jsonl") for name in ("torchrun", "inline"))
    assert len(ours) == len(theirs)
    for number in ("loss_total", "gradient_norm"):
        assert ours[0][number] == pytest.approx(theirs[0][number], rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.usefixtures("preloaded")
def test_an_error_of_the_processes_is_the_launchers_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="give the output folder of the prepare_data step"):
        TorchrunLauncher(processes=1, max_restarts=0).run(job_for(tmp_path / "nowhere", tmp_path / "model"))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.usefixtures("preloaded")
def test_a_wrong_input_is_tried_once_and_told_without_a_traceback(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The main process alone sees what stands at the output; the other one waits for it, and follows."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "theirs.txt").write_text("not ours")
    with pytest.raises(ArtifactError, match="model"):
        TorchrunLauncher(processes=2).run(job_for(dataset, tmp_path / "model"))
    told = "".join(capfd.readouterr())
    assert "Traceback" not in told
    assert "restart" not in told.lower()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["theirs.txt"]


def launch_two(dataset: Path, model: Path, epochs: int, python: str) -> None:
    sys.executable = python
    settings = TRAINING.model_copy(update={"train_epochs": epochs, "checkpoint_interval": 10_000})
    TorchrunLauncher(processes=2).run(job_for(dataset, model, training_settings=settings))


@contextmanager
def a_launcher(dataset: Path, model: Path, epochs: int, python: str = REAL_PYTHON) -> Iterator[Any]:
    """A launcher in a process of its own; a test that fails leaves neither it nor its processes running.

    Of ``preloaded`` processes only the launcher's own is its child; the others end with the server that forked them.
    """
    launcher = started_later(launch_two, dataset, model, epochs, python)
    launcher.start()
    try:
        yield launcher
    finally:
        if launcher.is_alive():
            for child in psutil.Process(launcher.pid).children(recursive=True):
                child.kill()
            launcher.kill()
            launcher.join()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_sigterm_at_the_launcher_reaches_the_processes_which_save_and_leave(
    dataset: Path, tmp_path: Path, preloaded: str
) -> None:
    work_folder = tmp_path / ".model-training"
    with a_launcher(dataset, tmp_path / "model", epochs=10_000, python=preloaded) as launcher:
        eventually(lambda: (work_folder / "last").exists())
        launcher.terminate()
        launcher.join(HANGS_AFTER)
        assert launcher.exitcode == 143
    lines = (work_folder / "memory_diagnostics.log").read_text().splitlines()
    assert json.loads(lines[-1])["error"] == "SystemExit: 143"


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_processes_that_lost_one_of_them_start_again_and_go_on(dataset: Path, tmp_path: Path) -> None:
    """Real ones, which are the launcher's descendants and so can be found."""
    with a_launcher(dataset, tmp_path / "model", epochs=10) as launcher:
        eventually(lambda: (tmp_path / ".model-training" / "last").exists())
        workers = [
            child
            for child in psutil.Process(launcher.pid).children(recursive=True)
            if "torch.distributed.run" not in child.cmdline() and "components.train.worker" in child.cmdline()
        ]
        workers[-1].kill()
        launcher.join(HANGS_AFTER)
        assert launcher.exitcode == 0
    assert read_result(TrainResults, tmp_path / "model").resumed_at is not None
