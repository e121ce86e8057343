"""The objects of ``manifests``: strictly what Kubernetes knows, no rights beyond need, and what commands name."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from model_core.config.run import Settings
from model_core.variables import SECRET_FIELDS
from pipelines.compile import cluster_pipeline
from pipelines.resources import Cluster
from pipelines.submit import dry_run
from tests.pipeline.kubeflow_server import Api
from tests.pipeline.submissions import submission
from tests.serving import answering

MANIFESTS = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))
VERSIONS = ("1.29.0", "1.37.0")
"""Of Kubernetes: an old one, and the newest that the validator knows."""
Document = dict[str, Any]


def documents_of(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def named(name: str, kind: str) -> Document:
    (found,) = [each for each in documents_of(path_of(name)) if each["kind"] == kind]
    return found


def path_of(name: str) -> Path:
    (found,) = [path for path in MANIFESTS if path.stem == name]
    return found


def rules() -> Iterator[Document]:
    for path in MANIFESTS:
        for document in documents_of(path):
            if document["kind"] in {"Role", "ClusterRole"}:
                yield from document["rules"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_has_only_fields_that_kubernetes_knows(path: Path, version: str) -> None:
    for document in documents_of(path):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(("field", "value"), [("timezone", "Etc/UTC"), ("schedule", 5)])
def test_a_misspelled_field_or_a_value_of_another_kind_would_be_noticed(field: str, value: object) -> None:
    broken = named("recurring-run", "CronJob")
    broken["spec"][field] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_no_role_may_do_everything_or_read_every_secret() -> None:
    seen = 0
    for rule in rules():
        seen += 1
        for part in ("apiGroups", "resources", "verbs"):
            assert "*" not in rule[part]
        if set(rule["resources"]) & {"secrets", "configmaps"}:
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]
        assert not any("exec" in resource for resource in rule["resources"])
    assert seen


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_binding_names_a_role_and_an_account_that_are_there(path: Path) -> None:
    known = {(each["kind"], each["metadata"]["name"]) for other in MANIFESTS for each in documents_of(other)}
    from_the_cluster = {("ClusterRole", "kubeflow-trainer-edit")}
    for document in documents_of(path):
        if document["kind"].endswith("Binding"):
            role = (document["roleRef"]["kind"], document["roleRef"]["name"])
            assert role in known | from_the_cluster
            for subject in document["subjects"]:
                assert (subject["kind"], subject["name"]) in known


def test_the_secrets_and_the_config_map_are_those_that_a_compiled_pipeline_takes() -> None:
    store, authorities = named("store-secret", "Secret"), named("store-authorities", "ConfigMap")
    cluster = Cluster(
        tag="0123456", secret=store["metadata"]["name"], authorities=authorities["metadata"]["name"]
    )
    pipeline = cluster_pipeline(Settings(), cluster, "code")
    platform = MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (taken,) = platform["exec-train"]["secretAsEnv"]
    assert {each["secretKey"] for each in taken["keyToEnv"]} == set(store["stringData"]) == set(SECRET_FIELDS)
    environment = MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]["exec-train"][
        "container"
    ]["env"]
    (file,) = [each["value"] for each in environment if each["name"] == "SSL_CERT_FILE"]
    assert {Path(file).name} == set(authorities["data"])


def test_the_pull_secret_is_the_one_that_the_accounts_name_and_can_be_read() -> None:
    secret = named("registry-secret", "Secret")
    for account in ("runner", "submitter"):
        pulled = named(account, "ServiceAccount")["imagePullSecrets"]
        assert pulled == [{"name": secret["metadata"]["name"]}]
    (registry,) = json.loads(secret["stringData"][".dockerconfigjson"])["auths"].values()
    assert base64.b64decode(registry["auth"]) == b"USER:PASSWORD"


def test_the_settings_of_the_launcher_are_yaml_within_yaml() -> None:
    data = named("kfp-launcher", "ConfigMap")["data"]
    default = yaml.safe_load(data["providers"])["s3"]["default"]
    assert default["credentials"] == {"fromEnv": True}
    assert data["defaultPipelineRoot"].startswith("s3://")


def test_the_recurring_run_sends_a_request_that_the_api_takes(tmp_path: Path) -> None:
    """Its script is executed as it stands there, with the request as the comment of the manifest makes it."""
    pod = named("recurring-run", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][1:] == ["-c"]
    with answering(Api(["PENDING"])) as api:
        request = json.loads(dry_run(submission(api.url, name="")))
        assert request["url"] == f"{api.url}/apis/v2beta1/runs"
        body = request["body"] | {"experiment_id": "1", "display_name": "every morning"}
        body["runtime_config"]["parameters"]["run_name"] = ""
        (tmp_path / "run.json").write_text(json.dumps(body), encoding="utf-8")
        (tmp_path / "token").write_text("token-of-the-pod\n", encoding="utf-8")
        here = {
            "KFP_HOST": api.url,
            "KFP_REQUEST": str(tmp_path / "run.json"),
            "KFP_TOKEN_FILE": str(tmp_path / "token"),
        }
        assert here.keys() == {each["name"] for each in container["env"]}
        ended = subprocess.run(
            [sys.executable, "-c", *container["args"]], env=here, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("run ")
        assert api.tokens == {"Bearer token-of-the-pod"}
        (run,) = api.runs
    assert run["pipeline_spec"] == body["pipeline_spec"]
    assert run["runtime_config"]["parameters"]["run_name"] == ""
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    values = {each["name"]: each["value"] for each in container["env"]}
    assert {str(Path(values[name]).parent) for name in ("KFP_REQUEST", "KFP_TOKEN_FILE")} == mounts
