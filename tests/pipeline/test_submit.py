"""Submitting a run, proven against a small server that speaks the API of Kubeflow Pipelines."""

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.steps import STEPS
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import DeniedError, SourceError, StoreError, UserError
from pipelines.__main__ import main
from pipelines.kubeflow.schedule import checked_cron
from pipelines.pods.profiles import load_pods
from pipelines.resources import Cluster
from pipelines.store_tls import write_certificate
from pipelines.submission import Submission
from pipelines.submit import dry_run, submit
from tests.data.market import saved, table
from tests.pipeline.kubeflow_server import Api, Object, page, redirect, reset, serving, status

PLACES = {"cluster": Cluster(tag="abc", secret="keys")}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api(["PENDING", "RUNNING", "SUCCEEDED"])) as server:
        yield server


def submission(host: str, **more: Any) -> Submission:
    given: dict[str, Any] = {
        "settings": Settings(),
        "cluster": Cluster(tag="abc"),
        "source": "sample://nasdaq",
        "name": "a",
    }
    return Submission(host, **(given | more))


def test_a_run_carries_the_pipeline_and_its_parameters(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "token")
    wanted = submission(api.url, source="s3://bkt/t.csv", service_account="pipeline-runner", **PLACES)
    assert submit(wanted) == f"{api.url}/#/runs/details/r1"
    (run,) = api.runs
    assert (run["experiment_id"], run["display_name"]) == ("e1", "a")
    assert run["service_account"] == "pipeline-runner"
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["source"], parameters["run_name"]) == ("s3://bkt/t.csv", "a")
    assert parameters["training_settings"]["train_epochs"] == 50
    spec = json_format.ParseDict(run["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
    steps = spec.components["comp-exit-handler-1"].dag.tasks
    assert all(steps[step.replace("_", "-")].caching_options.enable_cache for step in STEPS)
    json_format.ParseDict(run["pipeline_spec"]["platform_spec"], pipeline_spec_pb2.PlatformSpec())
    assert api.tokens == {"Bearer token"}


def test_every_field_of_a_request_is_one_of_the_apis(api: Api) -> None:
    """KFP's own client, generated from the API's description, says which there are."""
    submit(submission(api.url, mlflow_experiment="m", pipeline_root="s3://bkt/root", service_account="s"))
    submit(submission(api.url, cron="0 0 6 * * *", namespace="team", register=True))
    assert set(api.runs[0]) <= set(kfp_server_api.V2beta1Run.attribute_map.values())
    assert set(api.schedules[0]) <= set(kfp_server_api.V2beta1RecurringRun.attribute_map.values())
    config = set(kfp_server_api.V2beta1RuntimeConfig.attribute_map.values())
    assert set(api.runs[0]["runtime_config"]) <= config
    assert set(api.schedules[0]["trigger"]) <= set(kfp_server_api.V2beta1Trigger.attribute_map.values())
    reference = kfp_server_api.V2beta1PipelineVersionReference.attribute_map.values()
    assert set(api.schedules[0]["pipeline_version_reference"]) <= set(reference)
    assert set(api.experiments[0]) <= set(kfp_server_api.V2beta1Experiment.attribute_map.values())


def test_without_the_cache_no_task_is_reused(api: Api) -> None:
    submit(submission(api.url, caching=False))
    spec = json_format.ParseDict(
        api.runs[0]["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec()
    )
    assert not any(task.caching_options.enable_cache for task in spec.root.dag.tasks.values())


def test_an_experiment_that_is_there_is_not_made_again(api: Api) -> None:
    submit(submission(api.url))
    submit(submission(api.url))
    assert (len(api.experiments), len(api.runs)) == (1, 2)


def test_registering_stores_the_pipeline_and_runs_that_version(api: Api) -> None:
    submit(submission(api.url, register=True))
    ((where, content),) = api.uploads
    assert where == "/pipelines/upload?name=celestial-training-pipeline"
    assert b"pipelineInfo" in content
    assert api.runs[0]["pipeline_version_reference"] == {"pipeline_id": "p1", "pipeline_version_id": "v1"}


def test_mlflow_is_told_its_experiment_the_way_that_kubeflow_has_for_it(api: Api) -> None:
    submit(submission(api.url, mlflow_experiment="celestial"))
    assert api.runs[0]["plugins_input"] == {"mlflow": {"experiment_name": "celestial"}}


# --- schedules --------------------------------------------------------------------------------------


def test_a_schedule_names_none_of_its_runs_and_reuses_nothing(api: Api) -> None:
    wanted = submission(api.url, source="s3://bkt/t.csv", cron=" 0 30 6  * * MON-FRI ", **PLACES)
    assert submit(wanted) == f"{api.url}/#/recurringrun/details/s1"
    (schedule,) = api.schedules
    assert schedule["trigger"] == {"cron_schedule": {"cron": "0 30 6 * * MON-FRI"}}
    assert (schedule["no_catchup"], schedule["mode"]) == (True, "ENABLE")
    assert schedule["runtime_config"]["parameters"]["run_name"] == ""
    pipeline = schedule["pipeline_spec"]["pipeline_spec"]
    tasks = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert not any(tasks[step.replace("_", "-")]["cachingOptions"] for step in STEPS)
    called = tasks["report"]["inputs"]["parameters"]["run_called"]
    assert called == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}


@pytest.mark.parametrize(
    "cron", ["* * * * * *", "0 */15 8-18 ? JAN-MAR,7 MON", "59 59 23 31 12 6", "0 0 0/6 1,15 * *"]
)
def test_schedules_that_kubeflow_reads_are_taken(cron: str) -> None:
    assert checked_cron(cron) == cron


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("30 6 * * MON", "write --cron '0 30 6 \\* \\* MON'"),
        ("daily", "has 1 fields; write six"),
        ("60 0 0 * * *", "is not valid in the field seconds"),
        ("0 0 24 * * *", "is not valid in the field hours"),
        ("0 0 0 0 * *", "is not valid in the field day of month"),
        ("0 0 0 * 13 *", "is not valid in the field month"),
        ("0 0 0 * * 7", "is not valid in the field day of week"),
        ("0 0 0 * * FRI-MON", "is not valid in the field day of week"),
        ("0 0/0 0 * * *", "is not valid in the field minutes"),
        ("0 0 0 * * MON-", "is not valid in the field day of week"),
        ("0 0 *-3 * * *", "is not valid in the field hours"),
    ],
)
def test_schedules_that_it_does_not_are_refused_with_the_field(cron: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        checked_cron(cron)


# --- a dry run --------------------------------------------------------------------------------------


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", "canary-of-the-token")
    flags = ["submit", "--host", api.url, "--tag", "abc", "--name", "a", "--experiment", "e1"]
    assert main([*flags, "--dry-run"]) == 0
    told = capsys.readouterr().out
    request = json.loads(told)
    assert (request["method"], request["url"]) == ("POST", f"{api.url}/apis/v2beta1/runs")
    assert (api.runs, api.experiments, api.namespaces) == ([], [], set())
    assert "canary" not in told
    assert main(flags) == 0
    sent = api.runs[0]
    assert request["body"] | {"experiment_id": sent["experiment_id"]} == sent


# --- a table of this machine ------------------------------------------------------------------------


def test_a_table_of_this_machine_is_checked_and_uploaded_under_its_digest(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_core.store.local import LocalStore

    monkeypatch.setattr(
        "pipelines.submit.open_store", lambda uri: LocalStore(tmp_path / uri.removeprefix("s3://"))
    )
    source = saved(table(900), tmp_path, "my table.csv")
    content = Path(source).read_bytes()
    said: list[str] = []
    wanted = submission(api.url, source=source, upload_uri="s3://bkt/tables/", **PLACES)
    request = json.loads(dry_run(wanted))
    assert not (tmp_path / "bkt").exists()
    submit(wanted, say=said.append)
    parameters = api.runs[0]["runtime_config"]["parameters"]
    digest = hashlib.sha256(content).hexdigest()[:16]
    assert parameters["source"] == f"s3://bkt/tables/{digest}-my-table.csv"
    assert parameters["source_version"] == digest
    assert (tmp_path / f"bkt/tables/{digest}-my-table.csv").read_bytes() == content
    assert request["body"]["runtime_config"]["parameters"] == parameters
    assert said == [f"table: {source} → {parameters['source']}"]


def test_a_table_that_the_pods_would_refuse_is_refused_before_anything_is_sent(
    api: Api, tmp_path: Path
) -> None:
    source = saved(table(20), tmp_path, "short.csv")
    with pytest.raises(SourceError, match="rows"):
        submit(submission(api.url, source=source, upload_uri="s3://bkt/tables", **PLACES))
    assert api.namespaces == set()


# --- who answers ------------------------------------------------------------------------------------


def test_a_refusal_is_told_in_the_apis_own_words(api: Api) -> None:
    api.fail("POST .*/experiments", status(404, "no such namespace"))
    with pytest.raises(UserError, match="answered 404 no such namespace"):
        submit(submission(api.url))


def test_an_api_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreError, match="cannot reach http"):
        submit(submission("http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "answer", [page(), redirect("https://login.example/auth?state=x")], ids=["page", "redirect"]
)
@pytest.mark.parametrize(
    "request_", ["GET .*/healthz", "GET .*/experiments", "POST .*/experiments", "POST .*/runs"]
)
def test_a_page_to_sign_in_is_never_a_run(api: Api, request_: str, answer: Any) -> None:
    api.fail(request_, answer)
    with pytest.raises(StoreError, match="KFP_TOKEN or KFP_COOKIE"):
        submit(submission(api.url))
    assert api.runs == []


@pytest.mark.parametrize("request_", ["POST .*/experiments", "POST .*/runs"])
@pytest.mark.parametrize(
    "body", [{}, {"run_id": None, "experiment_id": None}, {"run_id": "", "experiment_id": ""}]
)
def test_an_answer_without_an_id_starts_nothing(api: Api, request_: str, body: Object) -> None:
    api.fail(request_, lambda handler: handler.answer(body))
    with pytest.raises(StoreError, match="does not answer as the API"):
        submit(submission(api.url))


@pytest.mark.parametrize(
    ("code", "variable", "remedy"),
    [
        (401, None, "set KFP_TOKEN to a bearer token"),
        (403, None, "set KFP_TOKEN to a bearer token"),
        (401, "KFP_TOKEN", "KFP_TOKEN may have run out"),
        (403, "KFP_COOKIE", "the user of KFP_COOKIE may not do this"),
    ],
)
def test_who_asks_is_asked_for_at_once(
    api: Api, code: int, variable: str | None, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, "session=0123456789")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    api.fail("GET .*/healthz", status(code, "no session=0123456789 here"))
    with pytest.raises(DeniedError, match=remedy) as caught:
        submit(submission(api.url))
    assert variable is None or "0123456789" not in str(caught.value)
    assert api.runs == []


def test_a_cookie_opens_what_a_page_to_sign_in_guards(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.accepts = {"authservice_session=abc; other=1"}
    monkeypatch.setenv("KFP_COOKIE", "authservice_session=abc; other=1")
    submit(submission(api.url))
    assert len(api.runs) == 1


def test_credentials_come_from_files_too(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-a-file\n", encoding="utf-8")
    monkeypatch.setenv("KFP_TOKEN_FILE", str(tmp_path / "token"))
    submit(submission(api.url))
    assert api.tokens == {"Bearer from-a-file"}


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("KFP_TOKEN_FILE", "missing", "names a file that cannot be read"),
        ("KFP_COOKIE", "no-name", "write NAME=VALUE"),
        ("KFP_COOKIE", "Cookie: a=b", "write NAME=VALUE"),
        ("KFP_COOKIE", "a=b\nc", "cannot be sent"),
    ],
)
def test_credentials_that_are_none_are_refused(
    api: Api, variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=reason):
        submit(submission(api.url))


def test_a_host_whose_api_stands_below_pipeline_is_told_so_and_the_remedy_works() -> None:
    with serving(Api(["SUCCEEDED"], prefix="/pipeline")) as api:
        with pytest.raises(StoreError, match=f"write --host {api.url}/pipeline"):
            submit(submission(api.url))
        assert submit(submission(f"{api.url}/pipeline/")) == f"{api.url}/pipeline/#/runs/details/r1"


def test_a_private_authority_is_named_with_the_remedy_and_the_remedy_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = Api(["SUCCEEDED"])
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    with serving(server) as api:
        with pytest.raises(StoreError, match="SSL_CERT_FILE"):
            submit(submission(api.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert submit(submission(api.url)).startswith(api.url)
        with pytest.raises(StoreError, match="cannot reach"):
            submit(submission(api.url.replace("https", "http")))


def test_an_http_port_behind_https_and_a_missing_file_of_certificates_are_one_sentence(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="does not speak TLS as it should"):
        submit(submission(api.url.replace("http", "https")))
    monkeypatch.setenv("SSL_CERT_FILE", "/missing.pem")
    with pytest.raises(UserError, match="SSL_CERT_FILE names '/missing"):
        submit(submission(api.url.replace("http", "https")))


def test_a_cluster_of_several_users_wants_a_namespace(api: Api) -> None:
    api.multi_user = True
    with pytest.raises(UserError, match="--namespace"):
        submit(submission(api.url))
    submit(submission(api.url, namespace="team"))
    assert api.experiments[0]["namespace"] == "team"
    assert "team" in api.namespaces


@pytest.mark.parametrize("fault", [status(503), reset], ids=["503", "reset"])
def test_a_run_that_may_have_been_started_is_not_said_to_be_neither(api: Api, fault: Any) -> None:
    api.fail("POST .*/runs", fault)
    with pytest.raises(StoreError, match="whether a was started is unknown"):
        submit(submission(api.url))


def test_a_store_that_a_role_opens_needs_no_secret(api: Api) -> None:
    cluster = Cluster(tag="abc", role=True)
    submit(submission(api.url, source="s3://bkt/t.csv", service_account="pgat-runner", cluster=cluster))
    (run,) = api.runs
    assert run["service_account"] == "pgat-runner"
    assert "secretAsEnv" not in json.dumps(run)


# --- what is refused before anything is sent --------------------------------------------------------


def torchrun() -> Settings:
    return load_settings(None, ["training.launcher.kind=torchrun"])


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"source": "table.csv"}, "--upload-uri"),
        ({"source": "table.csv", "upload_uri": "s3://bkt/t"}, "needs the store's keys"),
        ({"source": "sample://nasdq"}, "is not a sample"),
        ({"source": "s3://bkt/t.csv"}, "needs the store's keys"),
        ({"publish_uri": "/reports"}, "name an s3://"),
        ({"checkpoint_uri": "file:///c", **PLACES}, "name an s3://"),
        ({"pipeline_root": "minio://b"}, "use a path, file:// or s3://"),
        ({"name": "Not A Name"}, "cannot name a run"),
        ({"name": "a" * 64}, "cannot name a run"),
        ({"experiment": ""}, "cannot be a title"),
        ({"experiment": "e" * 129}, "cannot be a title"),
        ({"experiment": "two\nlines"}, "cannot be a title"),
        ({"mlflow_experiment": " m"}, "--mlflow-experiment"),
        ({"namespace": "Team"}, "--namespace 'Team'"),
        ({"namespace": "a" * 64}, "--namespace"),
        ({"service_account": "-a"}, "--service-account"),
        ({"host": "kubeflow.example"}, "is not a URL"),
        ({"host": "https://k.example/pipeline/#/runs"}, "leave out #"),
        ({"host": "https://k.example:0/"}, "no host and port"),
        ({"cron": "0 0 6 * * *", "checkpoint_uri": "s3://bkt/c", **PLACES}, "would be shared by all runs"),
        ({"cron": "0 0 6 * * *", "source": "t.csv", "upload_uri": "s3://bkt/t", **PLACES}, "uploaded once"),
        ({"settings": torchrun()}, "the pod of train gets none"),
        ({"settings": load_settings(None, ["training.launcher.kind=trainer"])}, "training.launcher.image"),
        ({"settings": load_settings(None, ["evaluation.device=cuda"])}, "the pod of evaluate gets no GPU"),
    ],
)
def test_what_only_fails_in_the_pods_is_refused_before(more: Object, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        submission(**({"host": "http://127.0.0.1:9"} | more))


def test_settings_that_their_pods_can_follow_are_taken() -> None:
    submission("http://127.0.0.1:9", settings=torchrun(), cluster=Cluster(tag="abc", pods=load_pods(gpus=2)))
    chosen = ["training.launcher.kind=trainer", "training.launcher.image=i:1", "training.device=cuda"]
    submission(
        "http://127.0.0.1:9", settings=load_settings(None, chosen), checkpoint_uri="s3://bkt/c", **PLACES
    )


@pytest.mark.parametrize("command", ["compile", "submit"])
@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--tag", "abc-dirty"], "no image contains"),
        (["--tag", "abc", "--gpus=-1"], "train.gpus is -1"),
        (["--tag", "abc", "--set-pod", "train.gpu=1"], "did you mean"),
        (["--tag", "abc", "--profile", "missing.yaml"], "does not exist"),
    ],
)
def test_both_commands_refuse_what_no_pod_can_run(
    command: str, flags: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        ["--output", str(tmp_path / "p.yaml")] if command == "compile" else ["--host", "http://127.0.0.1:9"]
    )
    assert main([command, *flags, *more]) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
