"""The compiled pipeline: the same bytes for the same inputs, valid for KFP, and cheap to make."""

import inspect
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.local.io import IOStore
from kfp.local.orchestrator.enhanced_dag_orchestrator import ConditionEvaluator
from kfp.pipeline_spec import pipeline_spec_pb2

from components import cli
from components.steps import ALL_STEPS, NOT_WORSE, STEPS
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import UserError
from model_core.variables import PLACEMENT, STEP_NOTES
from pipelines.__main__ import main
from pipelines.compile import compile_pipeline
from pipelines.pods.profiles import load_pods
from pipelines.resources import Cluster
from pipelines.training import settings_parameters

REPOSITORY = Path(__file__).parent.parent.parent
CLUSTER = Cluster(
    "ghcr.io/example/", "0123456789ab", pods=load_pods(gpus=2), secret="mlpipeline-minio-artifact"
)
SECTIONS = {
    "prepare_data": {"data_settings"},
    "train": {"model_settings", "training_settings"},
    "evaluate": {"evaluation_settings"},
    "diagnose": {"diagnostics_settings"},
    "report": {"report_settings"},
    "register_model": {"evaluation_settings"},
    # It writes the run's record, which holds all of them.
    "finish": {f"{name}_settings" for name in Settings().of_steps()},
}
"""Which settings each step is given; everything else it cannot depend on. A step that is not named has none."""
CACHE_ONLY = {"code_version", "source_version"}
"""Inputs that no step reads: they make the cache notice an edit."""
CLUSTER_ONLY = {"run_called"}
"""How a cluster calls a run that was given no name."""
TERMINAL_ONLY = {"inspect", "like", "notes"}
"""prepare_data's card for the terminal and its way to repeat a preparation from a manifest; where a run's notes are."""


def compiled(folder: Path, settings: Settings | None = None) -> str:
    path = folder / "pipeline.yaml"
    compile_pipeline(path, settings or Settings(), CLUSTER, "code-version")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(compiled(tmp_path_factory.mktemp("ir"))))


def component(documents: list[dict[str, Any]], step: str) -> dict[str, Any]:
    return documents[0]["components"][f"comp-{step.replace('_', '-')}"]


def task(documents: list[dict[str, Any]], step: str) -> dict[str, Any]:
    """The task of a step, in whichever group it stands."""
    dags = [
        each["dag"] for each in (documents[0]["root"], *documents[0]["components"].values()) if "dag" in each
    ]
    (found,) = (dag["tasks"][name] for dag in dags if (name := step.replace("_", "-")) in dag["tasks"])
    return found


def test_no_pod_of_a_step_may_run_as_root(documents: list[dict[str, Any]]) -> None:
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {f"exec-{step.replace('_', '-')}" for step in ALL_STEPS}
    assert all(each["securityContext"] == {"runAsNonRoot": True} for each in executors.values())


def platform(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_the_compiled_pipeline_is_the_golden_one(tmp_path: Path, golden: Callable[[str, str], str]) -> None:
    """A change of the golden file is a change of what clusters run; the commit says why."""
    text = compiled(tmp_path)
    assert text == golden("pipeline.yaml", text)


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert compiled(tmp_path / "a") == compiled(tmp_path / "b")


def test_kfp_reads_the_pipeline_and_its_kubernetes_part(documents: list[dict[str, Any]]) -> None:
    spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    assert set(spec.root.dag.tasks) == {"exit-handler-1", "finish"}
    # Beside them the condition under which the model is registered.
    assert len(spec.components["comp-exit-handler-1"].dag.tasks) == len(STEPS) + 1
    executors = platform(documents)
    assert executors
    for config in executors.values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_each_step_is_given_its_own_settings_and_the_code_version_only(
    documents: list[dict[str, Any]],
) -> None:
    """So an edit of evaluation settings leaves the training step's cache valid, and an edit of code none."""
    for step in ALL_STEPS:
        inputs = task(documents, step)["inputs"]["parameters"]
        # The cluster's own name of a run is no parameter of the pipeline.
        given = [value.get("componentInputParameter", "") for value in inputs.values()]
        taken = {name.removeprefix("pipelinechannel--") for name in given}
        assert {name for name in taken if name.endswith("_settings")} == SECTIONS.get(step, set())
        assert "code_version" in taken


def test_every_step_has_its_image_its_resources_and_a_deadline(documents: list[dict[str, Any]]) -> None:
    executors = documents[0]["deploymentSpec"]["executors"]
    for step in ALL_STEPS:
        container = executors[f"exec-{step.replace('_', '-')}"]["container"]
        assert container["image"] == f"ghcr.io/example/pgat-{step.replace('_', '-')}:0123456789ab"
        assert container["resources"]["resourceMemoryLimit"] == ALL_STEPS[step].memory[1]
        assert task(documents, step)["retryPolicy"]["maxRetryCount"] == ALL_STEPS[step].retries
        gpus = container["resources"].get("accelerator", {}).get("resourceCount")
        assert gpus == ("2" if ALL_STEPS[step].gpu else None)
        config = platform(documents)[f"exec-{step.replace('_', '-')}"]
        assert config["activeDeadlineSeconds"] == str(ALL_STEPS[step].timeout_hours * 3600)


def test_the_stores_keys_come_from_the_secret_and_stand_nowhere(documents: list[dict[str, Any]]) -> None:
    for step in ALL_STEPS:
        (secret,) = platform(documents)[f"exec-{step.replace('_', '-')}"]["secretAsEnv"]
        assert {pair["envVar"] for pair in secret["keyToEnv"]} == {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        }
        environment = documents[0]["deploymentSpec"]["executors"][f"exec-{step.replace('_', '-')}"]
        more = set() if step == "finish" else {STEP_NOTES}
        if step == "train":
            # Its GPUs' taint, for the pods of a TrainJob.
            more.add(PLACEMENT)
        assert {e["name"] for e in environment["container"]["env"]} == {"AWS_ENDPOINT_URL"} | more


def test_the_end_of_a_run_is_told_whatever_became_of_its_steps(documents: list[dict[str, Any]]) -> None:
    handler = task(documents, "finish")
    assert handler["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert handler["inputs"]["parameters"]["status"] == {
        "taskFinalStatus": {"producerTask": "exit-handler-1"}
    }
    assert "enableCache" not in handler.get("cachingOptions", {})


def test_a_model_is_offered_to_a_registry_that_is_named_if_it_is_not_worse_than_the_best_baselines(
    documents: list[dict[str, Any]],
) -> None:
    dags = [each["dag"] for each in documents[0]["components"].values() if "dag" in each]
    asked = [
        each["triggerPolicy"]["condition"]
        for dag in dags
        for each in dag["tasks"].values()
        if "condition" in each.get("triggerPolicy", {})
    ]
    registry, verdict = sorted(asked)
    assert registry == "inputs.parameter_values['pipelinechannel--model_registry'] != ''"
    assert verdict == f"inputs.parameter_values['pipelinechannel--report-Output'] == '{NOT_WORSE}'"
    assert documents[0]["root"]["inputDefinitions"]["parameters"]["model_registry"]["defaultValue"] == ""
    # As kfp.local decides it.
    for answer, offered in ((NOT_WORSE, True), ("worse", False)):
        around = IOStore()
        around.put_task_output("report", "Output", answer)
        assert ConditionEvaluator().evaluate_condition(verdict, IOStore(parent=around)) is offered


def test_only_what_registers_a_model_is_given_the_registrys_token(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert main(["compile", "--tag", "0123456", "--model-registry-secret", "r", "--output", str(path)]) == 0
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    given = {name for name, config in platform(documents).items() if "MODEL_REGISTRY_TOKEN" in str(config)}
    assert given == {"exec-register-model"}


def test_only_the_end_of_a_run_is_given_the_webhook(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert main(["compile", "--tag", "0123456", "--webhook-secret", "chat", "--output", str(path)]) == 0
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    given = {name for name, config in platform(documents).items() if "PGAT_WEBHOOK" in str(config)}
    assert given == {"exec-finish"}


def test_steps_that_train_or_predict_have_shared_memory(documents: list[dict[str, Any]]) -> None:
    mounted = {name for name, config in platform(documents).items() if "emptyDirMounts" in config}
    assert mounted == {f"exec-{step}" for step in ALL_STEPS if ALL_STEPS[step].gpu}


@pytest.mark.parametrize("file", sorted(p.name for p in (REPOSITORY / "configs").glob("*.yaml")))
def test_settings_survive_the_way_through_kfp(file: str) -> None:
    """KFP turns whole numbers into floats and knows no null; the steps read the same settings all the same."""
    from components.entry_points import section_of

    settings = load_settings(str(REPOSITORY / "configs" / file), [])
    for name, parameters in settings_parameters(settings).items():
        section = name.removesuffix("_settings")
        original = getattr(settings, section)
        assert section_of(type(original), _as_floats(parameters), section) == original


def _as_floats(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case dict():
            return {key: _as_floats(inner) for key, inner in value.items()}
        case list():
            return [_as_floats(inner) for inner in value]
        case _:
            return value


@pytest.mark.parametrize("step", ALL_STEPS)
def test_both_faces_of_a_step_offer_the_same_inputs(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cluster can ask of a step, the command line can too, and the other way round."""
    component = getattr(import_module(f"components.{step}.component"), step)
    kfp_inputs = set(inspect.signature(component.python_func).parameters) - CACHE_ONLY - CLUSTER_ONLY
    kfp_inputs -= {"metrics"}
    kfp_inputs = {name for name in kfp_inputs if not name.endswith("_settings")}
    parsers: list[ArgumentParser] = []
    command_line = import_module(f"components.{step}.__main__")
    monkeypatch.setattr(command_line, "execute", lambda parser, *_, **named: parsers.append(parser))
    command_line.main([])
    shared = {action.dest for action in cli.command(step, "About.")._actions}
    flags = {action.dest for action in parsers[0]._actions} - shared - TERMINAL_ONLY
    assert flags == kfp_inputs


def test_compiling_imports_neither_torch_nor_the_model() -> None:
    """A submitting machine needs the package without its heavy parts."""
    program = (
        "import sys, pipelines.compile\n"
        "heavy = ('torch', 'pandas', 'pyarrow', 'skyfield', 'matplotlib', 'model_core.nn', 'model_core.data')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--tag", "latest"], "may change under its name"),
        (["--image", "train=ghcr.io/example/pgat-train", "--tag", "0123456"], "may change under its name"),
        (
            ["--tag", "0123456", "--registry", "ghcr.io/example"],
            "an image ghcr.io/examplepgat-train; end it with a slash",
        ),
        (["--tag", "0123456", "--registry", "https://ghcr.io/example"], "leave out the protocol"),
        (
            ["--tag", "0123456", "--image", "train=docker://ghcr.io/pgat-train:1"],
            "leave out the protocol",
        ),
        (
            ["--tag", "0123456", "--webhook-secret", "https://chat.example/hooks/1"],
            "was given a URL; put that into the",
        ),
        (["--image", "trian=x@sha256:0", "--tag", "0123456"], "names no step"),
        (["--image", "train", "--tag", "0123456"], "names no step"),
        (["--tag", "0123456", "--output", "pipeline.json"], "is not a YAML file name"),
        (["--tag", "0123456", "--set", "training.lerning_rate=1"], "did you mean"),
    ],
)
def test_what_cannot_be_compiled_is_refused_in_one_sentence(
    flags: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", *flags]) == UserError.exit_code
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert "hooks/1" not in told
    assert list(tmp_path.iterdir()) == []


def test_an_image_by_digest_goes_before_registry_and_tag(tmp_path: Path) -> None:
    digest = f"ghcr.io/example/pgat-train@sha256:{'0' * 64}"
    arguments = ["--registry", "r/", "--tag", "0123456", "--image", f"train={digest}"]
    assert main(["compile", *arguments, "--output", str(tmp_path / "p.yaml")]) == 0
    executors = yaml.safe_load_all((tmp_path / "p.yaml").read_text(encoding="utf-8")).__next__()
    images = executors["deploymentSpec"]["executors"]
    assert images["exec-train"]["container"]["image"] == digest
    assert images["exec-report"]["container"]["image"] == "r/pgat-report:0123456"
