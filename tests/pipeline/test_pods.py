"""What the pods of the steps ask for: profiles, overrides, and what of it reaches the compiled pipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig

from components.steps import ALL_STEPS
from components.train.placement import Placement
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import SettingsError, UserError
from pipelines.compile import cluster_pipeline
from pipelines.pods.apply import placement_of
from pipelines.pods.profiles import Pods, load_pods
from pipelines.resources import Cluster

PROFILES = sorted((Path(__file__).parent.parent.parent / "configs/profiles").glob("*.yaml"))
EVERYTHING = """
all:
  labels: {team: quant}
  annotations: {sidecar.istio.io/inject: "false"}
  pull_secrets: [registry]
  pull_policy: IfNotPresent
  run_as_user: 10001
  node_selector: {pool: batch}
train:
  gpus: 2
  gpu_resource: nvidia.com/mig-1g.10gb
  labels: {kind: training}
  tolerations: [{key: gpu, operator: Equal, value: big, effect: NoExecute, seconds: 60}, {}]
  node_affinity:
    - {key: zone, values: [a, b]}
    - {key: cores, operator: Gt, values: [8]}
    - {key: spot, operator: DoesNotExist, weight: 50}
  volumes: [{claim: cache, path: /cache}]
  deadline_hours: 0.5
  retries: 0
  shared_memory: 1Gi
diagnose:
  shared_memory: null
"""


def compiled(pods: Pods, settings: Settings | None = None) -> dict[str, Any]:
    """Of each step's part of the pipeline what a profile may change."""
    pipeline = cluster_pipeline(settings or Settings(), Cluster(tag="0123456", pods=pods), "code")
    spec = MessageToDict(pipeline.pipeline_spec)
    containers = spec["deploymentSpec"]["executors"]
    platform = MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    dags = [each["dag"] for each in (spec["root"], *spec["components"].values()) if "dag" in each]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    parts = {}
    for step in ALL_STEPS:
        name = step.replace("_", "-")
        ParseDict(platform[f"exec-{name}"], KubernetesExecutorConfig())
        parts[step] = {
            "resources": containers[f"exec-{name}"]["container"]["resources"],
            "retryPolicy": tasks[name].get("retryPolicy"),
            "kubernetes": platform[f"exec-{name}"],
        }
    return parts


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_the_pods_of_a_profile_are_the_golden_ones(path: Path, golden: Callable[[str, str], str]) -> None:
    text = yaml.safe_dump(compiled(load_pods(path)), sort_keys=True)
    assert text == golden(f"pods-{path.stem}.yaml", text)


def test_everything_that_can_be_said_of_a_pod_reaches_the_compiled_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")
    parts = compiled(load_pods(path))
    train, report = parts["train"]["kubernetes"], parts["report"]["kubernetes"]
    for pod in (train, report):
        assert pod["podMetadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
        assert pod["imagePullSecret"] == [{"secretName": "registry", "secretNameParameter": {
            "runtimeValue": {"constant": "registry"}}}]  # fmt: skip
        assert pod["imagePullPolicy"] == "IfNotPresent"
        assert pod["securityContext"] == {"runAsUser": "10001", "runAsNonRoot": True}
        assert pod["nodeSelector"] == {"labels": {"pool": "batch"}}
    assert report["podMetadata"]["labels"] == {"team": "quant"}
    assert train["podMetadata"]["labels"] == {"team": "quant", "kind": "training"}
    assert train["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "big", "effect": "NoExecute", "tolerationSeconds": "60"},
        {"operator": "Exists"},
    ]
    required, preferred = train["nodeAffinity"]
    assert [term["key"] for term in required["matchExpressions"]] == ["zone", "cores"]
    assert preferred["weight"] == 50
    assert train["pvcMount"][0]["mountPath"] == "/cache"
    assert train["activeDeadlineSeconds"] == "1800"
    assert train["emptyDirMounts"][0]["sizeLimit"] == "1Gi"
    assert "emptyDirMounts" not in parts["diagnose"]["kubernetes"]
    assert parts["train"]["resources"]["accelerator"]["resourceType"] == "nvidia.com/mig-1g.10gb"
    assert parts["train"]["resources"]["accelerator"]["resourceCount"] == "2"
    assert not (parts["train"]["retryPolicy"] or {}).get("maxRetryCount")


def test_of_two_places_the_more_particular_one_counts(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("all: {cpu_limit: 3, retries: 0}\n", encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text("extends: base.yaml\ntrain: {cpu_limit: 6, gpus: 4}\n", encoding="utf-8")
    pods = load_pods(path, ["report.cpu_limit=0.5", "diagnose.gpus=0"], gpus=1).of_step
    assert {step: pod.cpu_limit for step, pod in pods.items()} == {
        "prepare_data": "3", "train": "6", "evaluate": "3", "diagnose": "3", "report": "0.5",
        "register_model": "3", "finish": "3",
    }  # fmt: skip
    assert {step: pod.gpus for step, pod in pods.items() if pod.gpus} == {"train": 1, "evaluate": 1}
    assert {pod.retries for pod in pods.values()} == {0}


def test_without_a_profile_each_step_asks_for_what_it_needs() -> None:
    for step, pod in load_pods().of_step.items():
        needs = ALL_STEPS[step]
        assert (pod.cpu_request, pod.cpu_limit) == needs.cpu
        assert (pod.memory_request, pod.memory_limit) == needs.memory
        assert (pod.retries, pod.deadline_hours, pod.gpus) == (needs.retries, needs.timeout_hours, 0)


def test_on_a_cluster_training_saves_at_least_every_two_minutes() -> None:
    """A pod is gone before SIGTERM could be of use (tests/training/test_pod_signals.py)."""
    pods, often = load_pods(), load_settings(None, ["training.checkpoint_interval_minutes=0.5"])
    never = load_settings(None, ["training.checkpoint_interval_minutes=null"])
    minutes = [
        pods.on_a_cluster(settings).training.checkpoint_interval_minutes
        for settings in (Settings(), often, never)
    ]
    assert minutes == [2.0, 0.5, 2.0]
    slower = load_pods(None, ["checkpoint_interval_minutes=30"])
    assert slower.on_a_cluster(Settings()).training.checkpoint_interval_minutes == 10.0


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.gpus=-1", "train.gpus"),
        ("train.gpus=1.5", "train.gpus"),
        ("train.memory_limit=lots", "train.memory_limit"),
        ("train.memory_limit=0Gi", "train.memory_limit"),
        ("train.memory_request=64Gi", "train.memory_request"),
        ("report.cpu_request=1500m", "report.cpu_request"),
        ("train.cpu_limit=.5", "train.cpu_limit"),
        ("train.shared_memory=64Gi", "train.shared_memory"),
        ("report.gpus=1", "report.gpus"),
        ("train.gpu_resource=gpu", "train.gpu_resource"),
        ("train.memory=1Gi", "train.memory"),
        ("trian.gpus=1", "trian"),
        ("all.tolerations=[{key: a, operator: Equal}]", "all.tolerations.0"),
        ("all.tolerations=[{seconds: 1}]", "all.tolerations.0"),
        ("all.node_affinity=[{key: a, operator: Gt, values: [x]}]", "all.node_affinity.0"),
        ("all.node_selector={a b: c}", "all.node_selector.a b"),
        ("all.labels={a: b c}", "all.labels.a"),
        ("all.pull_secrets=[A_b]", "all.pull_secrets.0"),
        ("train.volumes=[{claim: a, path: /c}, {claim: b, path: /c/}]", "train.volumes"),
        ("train.volumes=[{claim: a, path: /dev/shm}]", "train.volumes"),
        ("train.volumes=[{claim: a, path: c}]", "train.volumes.0"),
        ("all.run_as_user=0", "all.run_as_user"),
        ("all.retries=99", "all.retries"),
        ("train.deadline_hours=0", "train.deadline_hours"),
        ("all.pull_policy=Sometimes", "all.pull_policy"),
        ("checkpoint_interval_minutes=-1", "checkpoint_interval_minutes"),
    ],
)
def test_what_no_cluster_takes_is_refused_by_its_name(override: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_pods(None, [override])
    assert key in caught.value.keys
    assert key in str(caught.value)


def test_pods_are_given_the_stores_region_and_the_authorities_to_trust() -> None:
    cluster = Cluster(tag="0123456", secret="keys", region="eu-west-1", authorities="store-authorities")
    pipeline = cluster_pipeline(Settings(), cluster, "code")
    containers = MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    platform = MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for step in ALL_STEPS:
        name = f"exec-{step.replace('_', '-')}"
        environment = {each["name"]: each["value"] for each in containers[name]["container"]["env"]}
        assert environment["AWS_REGION"] == "eu-west-1"
        (volume,) = platform[name]["configMapAsVolume"]
        assert volume["configMapName"] == "store-authorities"
        assert environment["SSL_CERT_FILE"] == f"{volume['mountPath']}/ca.crt"
        # For the pods of a TrainJob, which the step of the training may start.
        assert environment.get("PGAT_CA_CONFIG_MAP") == ("store-authorities" if step == "train" else None)


def test_the_pods_of_a_trainjob_are_placed_as_the_pod_of_the_training_is() -> None:
    pods = load_pods(
        None,
        [
            "all.pull_secrets=[registry]",
            "all.labels={team: quant}",
            "train.node_selector={pool: gpu}",
            "train.tolerations=[{key: dedicated, operator: Equal, value: gpu, effect: NoExecute, seconds: 60}]",
            "train.node_affinity=[{key: zone, values: [a, b]}, {key: disk, operator: Exists, weight: 7}]",
            "train.run_as_user=1234",
        ],
    )
    pipeline = cluster_pipeline(Settings(), Cluster(tag="0123456", pods=pods), "code")
    containers = MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    given = {
        label: {each["name"]: each["value"] for each in executor["container"].get("env", [])}
        for label, executor in containers.items()
    }
    assert [label for label, env in given.items() if "PGAT_TRAINJOB_PODS" in env] == ["exec-train"]
    placement = Placement.model_validate_json(given["exec-train"]["PGAT_TRAINJOB_PODS"])
    assert placement == Placement(
        labels={"team": "quant"},
        node_selector={"pool": "gpu"},
        tolerations=(
            {
                "key": "dedicated",
                "operator": "Equal",
                "value": "gpu",
                "effect": "NoExecute",
                "tolerationSeconds": 60,
            },
        ),
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
                    ]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 7,
                        "preference": {
                            "matchExpressions": [{"key": "disk", "operator": "Exists", "values": []}]
                        },
                    }
                ],
            }
        },
        pull_secrets=("registry",),
        run_as_user=1234,
    )


@pytest.mark.parametrize(
    ("overrides", "tolerated"),
    [
        ([], ["nvidia.com/gpu"]),
        (["train.tolerations=[]"], []),
        (["train.gpus=1"], ["nvidia.com/gpu"]),
        (["train.gpus=1", "train.gpu_resource=amd.com/gpu"], ["amd.com/gpu"]),
    ],
)
def test_a_profile_can_leave_a_trainjob_without_tolerations(
    overrides: list[str], tolerated: list[str]
) -> None:
    text = placement_of(load_pods(None, overrides).of_step["train"]).model_dump_json(exclude_defaults=True)
    found = Placement.model_validate_json(text).for_resources({"gpu": "1"})
    assert [each["key"] for each in found.tolerations or ()] == tolerated


def test_pods_whose_role_opens_the_store_are_given_no_secret_and_amazons_endpoint_or_another() -> None:
    def environments(cluster: Cluster) -> list[dict[str, str]]:
        pipeline = cluster_pipeline(Settings(), cluster, "code")
        platform = MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]["deploymentSpec"][
            "executors"
        ]
        assert not any("secretAsEnv" in each for each in platform.values())
        containers = MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
        assert len(containers) == len(ALL_STEPS)
        return [
            {item["name"]: item["value"] for item in each["container"].get("env", [])}
            for each in containers.values()
        ]

    names = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"}
    for environment in environments(Cluster(tag="0123456", role=True)):
        assert not names & set(environment)
    url = "http://minio.storage:9000"
    for environment in environments(Cluster(tag="0123456", role=True, endpoint=url, keys_endpoint=url)):
        assert {environment[name] for name in names} == {url}


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ({"secret": "keys", "role": True}, "--secret and --store-role"),
        ({"secret": "keys", "keys_endpoint": "http://minio.storage:9000"}, "--sts-endpoint"),
        ({"endpoint": "http://minio.storage:port"}, "--s3-endpoint"),
        ({"region": "eu west"}, "--s3-region"),
        ({"authorities": "A"}, "--ca-config-map"),
        ({"secret": "My_Keys"}, "--secret"),
    ],
)
def test_what_contradicts_itself_or_no_cluster_takes_is_refused(more: dict[str, object], flag: str) -> None:
    with pytest.raises(UserError, match=flag):
        Cluster(tag="0123456", **more)  # type: ignore[arg-type]
