"""A compiled pipeline that breaks a rule is refused with the task, the rule and the remedy: one pipeline a rule."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.steps import ALL_STEPS
from model_core.config.run import Settings
from model_core.errors import UserError
from pipelines.__main__ import main
from pipelines.check import check_file
from pipelines.compile import cluster_pipeline, compile_pipeline
from pipelines.pods.profiles import load_pods
from pipelines.policy import RULES
from pipelines.resources import Cluster
from pipelines.submit import submit
from tests.pipeline.submissions import submission

GOLDEN = Path(__file__).parent.parent / "golden" / "pipeline.yaml"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def golden_documents() -> list[Document]:
    """The pipeline of the golden file, and its part for Kubernetes."""
    return list(yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8")))


def container(documents: list[Document], step: str = "train") -> Document:
    found: Document = documents[0]["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    return found


def pod(documents: list[Document], step: str = "train") -> Document:
    found: Document = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{step}"]
    return found


def task(documents: list[Document], step: str = "train") -> Document:
    found: Document = graph(documents)[step]
    return found


def graph(documents: list[Document]) -> Document:
    """The tasks within the exit handler."""
    found: Document = documents[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return found


def image(name: str) -> Callable[[list[Document]], None]:
    return lambda documents: container(documents).update(image=name)


def variable(name: str, value: str) -> Callable[[list[Document]], None]:
    return lambda documents: container(documents).setdefault("env", []).append({"name": name, "value": value})


def default_of(name: str, value: object) -> Callable[[list[Document]], None]:
    return lambda documents: documents[0]["root"]["inputDefinitions"]["parameters"][name].update(
        defaultValue=value
    )


def constant(value: str) -> Callable[[list[Document]], None]:
    return lambda documents: task(documents)["inputs"]["parameters"].update(
        launcher={"runtimeValue": {"constant": value}}
    )


def launched(name: str) -> Callable[[list[Document]], None]:
    """The pods of a TrainJob, which the step of the training starts."""

    def change(documents: list[Document]) -> None:
        given = documents[0]["root"]["inputDefinitions"]["parameters"]["training_settings"]
        given["defaultValue"]["launcher"]["image"] = name

    return change


def another_task_that_is_retried(documents: list[Document]) -> None:
    """A task that is no step of ours, such as one that registers a model."""
    graph(documents)["register"] = copy.deepcopy(task(documents))


BROKEN: list[tuple[str, Callable[[list[Document]], Any], str]] = [
    ("no tag", image("ghcr.io/example/pgat-train"), "train has the image 'ghcr.io/example/pgat-train', which may"),
    ("port, no tag", image("registry:5000/pgat-train"), "which may change under its name"),
    ("latest", image("ghcr.io/example/pgat-train:latest"), "which may change under its name; give its digest or"),
    ("branch", image("ghcr.io/example/pgat-train:main"), "which may change under its name"),
    ("version", image("ghcr.io/example/pgat-train:1.0"), "which may change under its name"),
    ("release", image("ghcr.io/example/pgat-train:v1.2.3"), "which may change under its name"),
    ("day", image("ghcr.io/example/pgat-train:20261127"), "which may change under its name"),
    ("day and time", image("ghcr.io/example/pgat-train:main-202611271530"), "which may change under its name"),
    ("release of a day", image("ghcr.io/example/pgat-train:v1.20261127"), "which may change under its name"),
    ("capitals", image(f"ghcr.io/example/pgat-train@sha256:{'0A' * 32}"), "which may change under its name"),
    ("short digest", image("ghcr.io/example/pgat-train@sha256:0123456"), "which may change under its name"),
    ("dirty", image("ghcr.io/example/pgat-train:0123456-dirty"), "which may change under its name"),
    ("deadline", lambda d: pod(d).pop("activeDeadlineSeconds"), "train has no deadline"),
    ("shared memory", lambda d: pod(d).pop("emptyDirMounts"), "asks for GPUs and has 64 MiB of shared memory"),
    ("on disk", lambda d: pod(d)["emptyDirMounts"][0].pop("medium"), "has 64 MiB of shared memory"),
    ("tolerations", lambda d: pod(d).pop("tolerations"), "asks for nvidia.com/gpu and tolerates no taint"),
    ("root", lambda d: pod(d).update(securityContext={"runAsUser": "0"}), "train runs as root (runAsUser 0)"),
    ("perhaps root", lambda d: pod(d).pop("securityContext"), "train may run as root"),
    ("retried", another_task_that_is_retried, "register is tried again 2 times, and only steps may be"),
    ("key", variable("AWS_SECRET_ACCESS_KEY", "canary"), "has a secret in the variable 'AWS_SECRET_ACCESS_KEY'"),
    ("token", variable("HF_TOKEN", "canary"), "has a secret in the variable 'HF_TOKEN'"),
    ("url", variable("PROXY", "http://user:canary@proxy"), "has a secret in the variable 'PROXY'"),
    ("default", default_of("source", "s3://AKIACANARYCANARYCANA/x"), "has a secret in the default of 'source'"),
    ("nested", default_of("report_settings", {"title": "http://u:canary@x"}), "in the default of 'report_settings'"),
    (
        "image of a TrainJob",
        launched("ghcr.io/example/pgat-train:1.0"),
        "the pipeline starts pods of the image 'ghcr.io/example/pgat-train:1.0' (training_settings), which may",
    ),
    ("constant", constant("http://u:canary@x"), "train is given a secret as 'launcher'"),
    (
        "argument",
        lambda d: container(d)["args"].append("http://u:canary@x"),
        "train has a secret among its arguments",
    ),
]  # fmt: skip


def written(documents: list[Document], folder: Path) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text("---\n".join(yaml.dump(each) for each in documents), encoding="utf-8")
    return path


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_pipeline_that_breaks_a_rule_is_refused_with_the_task_and_the_remedy(
    change: Callable[[list[Document]], Any],
    told: str,
    golden_documents: list[Document],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents = copy.deepcopy(golden_documents)
    change(documents)
    path = written(documents, tmp_path)
    assert main(["check", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path} breaks ")
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert "canary" not in captured.err.lower().replace("akiacanary", "")


@pytest.mark.parametrize(
    "name",
    [
        f"ghcr.io/example/pgat-train@sha256:{'0a' * 32}",
        f"registry:5000/pgat-train:1.0@sha256:{'0a' * 32}",
        "pgat-train:0123456",
        "pgat-train:sha-0123456789abcdef0123456789abcdef01234567",
        "pgat-train:main-0123456789ab",
        "registry:5000/pgat-train:20269927",
        "pgat-train:20261127abcd",
        "pgat-train:v1.2-3-g0123456",
    ],
)
def test_images_that_are_named_by_digest_or_commit_are_taken(
    name: str, golden_documents: list[Document], tmp_path: Path
) -> None:
    documents = copy.deepcopy(golden_documents)
    image(name)(documents)
    assert check_file(written(documents, tmp_path)) == len(ALL_STEPS)


def test_every_rule_refuses_one_of_these_pipelines(golden_documents: list[Document]) -> None:
    from pipelines.policy import pods_of

    refusing = set()
    for _, change, _ in BROKEN:
        documents = copy.deepcopy(golden_documents)
        change(documents)
        refusing |= {rule for rule in RULES for each in pods_of(*documents) if list(rule(each))}
    assert refusing == set(RULES)


def test_a_pipeline_that_keeps_the_rules_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(GOLDEN)]) == 0
    assert capsys.readouterr().out == f"{GOLDEN}: {len(ALL_STEPS)} tasks, and all rules are kept\n"


@pytest.mark.parametrize("name", [None, "small", "gpu", "multi-gpu"])
def test_what_is_compiled_with_each_profile_keeps_the_rules(name: str | None, tmp_path: Path) -> None:
    profile = None if name is None else Path("configs/profiles") / f"{name}.yaml"
    compile_pipeline(
        tmp_path / "pipeline.yaml", Settings(), Cluster(tag="0123456", pods=load_pods(profile)), "code"
    )
    assert check_file(tmp_path / "pipeline.yaml") == len(ALL_STEPS)


def test_what_breaks_a_rule_is_neither_compiled_nor_sent(tmp_path: Path) -> None:
    pods = load_pods(overrides=["train.gpus=1", "train.tolerations=[]"])
    with pytest.raises(
        UserError, match=r"the pipeline breaks a rule: train asks for nvidia\.com/gpu and tolerates"
    ):
        compile_pipeline(tmp_path / "pipeline.yaml", Settings(), Cluster(tag="0123456", pods=pods), "code")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="tolerates no taint"):
        submit(submission("http://127.0.0.1:9", cluster=Cluster(tag="0123456", pods=pods)))
    with pytest.raises(UserError, match="tolerates no taint"):
        cluster_pipeline(Settings(), Cluster(tag="0123456", pods=pods), "code")


@pytest.mark.parametrize("resource", ["nvidia.com/mig-1g.10gb", "amd.com/gpu"])
def test_pods_with_gpus_tolerate_the_taint_of_their_makers_nodes(resource: str) -> None:
    pods = load_pods(overrides=["train.gpus=1", f"train.gpu_resource={resource}"])
    (taint,) = pods.of_step["train"].tolerations
    assert (taint.key, taint.operator, taint.effect) == (
        f"{resource.split('/')[0]}/gpu",
        "Exists",
        "NoSchedule",
    )
    assert pods.of_step["report"].tolerations == ()


ONE_TASK = "components: {a: {executorLabel: e}}\nroot: {dag: {tasks: {x: {componentRef: {name: a}}}}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("", "is not a compiled pipeline"),
        ("a: [", "cannot be read"),
        ("a: &x 1\nb: *x", "anchors and aliases are not read"),
        ("- 1", "is not a compiled pipeline"),
        ("a: 1\n---\nb: 1\n---\nc: 1", "is not a compiled pipeline"),
        ("kind: Deployment\nspec: {}", "is not a pipeline of KFP's"),
        ("extends: standard.yaml", 'has no field named "extends" at "PipelineSpec"); give the file'),
        ("components: 7", "is not a pipeline of KFP's"),
        ("root: {dag: {tasks: {a: 1}}}", "is not a pipeline of KFP's"),
        ("schemaVersion: 2.1.0", "has no task that runs in a pod"),
        ("schemaVersion: 2.1.0\n---\nplatforms: []", "is not a pipeline of KFP's"),
        ("components: null", "has no task that runs in a pod"),
        (f"{ONE_TASK}\ndeploymentSpec: {{executors: {{e: {{container: 5}}}}}}", "is not a pipeline of KFP's"),
        (f"{ONE_TASK}\ndeploymentSpec: {{executors: {{e: {{container: {{env: null}}}}}}}}", "breaks 3 rules"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_in_one_sentence(
    text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pipeline.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["check", str(path)]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
