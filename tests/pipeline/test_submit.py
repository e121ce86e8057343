"""Submitting a run, proven against a small server that speaks the API of Kubeflow Pipelines."""

import hashlib
import json
from pathlib import Path

import kfp_server_api
import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.steps import STEPS
from model_core.errors import SourceError, UserError
from pipelines.__main__ import main
from pipelines.kubeflow.schedule import checked_cron
from pipelines.resources import Cluster
from pipelines.submit import dry_run, submit
from tests.data.market import saved, table
from tests.pipeline.kubeflow_server import Api
from tests.pipeline.submissions import PLACES, submission


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
    flags = ["submit", "--host", api.url, "--tag", "0123456", "--name", "a", "--experiment", "e1"]
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


def test_a_store_that_a_role_opens_needs_no_secret(api: Api) -> None:
    cluster = Cluster(tag="0123456", role=True)
    submit(submission(api.url, source="s3://bkt/t.csv", service_account="pgat-runner", cluster=cluster))
    (run,) = api.runs
    assert run["service_account"] == "pgat-runner"
    assert "secretAsEnv" not in json.dumps(run)
