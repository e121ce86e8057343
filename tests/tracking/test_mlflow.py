"""Runs and steps at a real MLflow server: each run once, whole, whatever broke off, and no step lost to it."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from components.evaluate.step import run as evaluate
from components.report.step import run as report
from components.train.launchers import launch_from_settings
from model_core.artifacts import read_json, replace_json
from model_core.config.run import ReportSettings
from model_core.results.course import read_courses
from model_core.results.findings import Findings
from model_core.results.record import read_result
from model_core.results.scores import MODEL, Scores
from pipelines.__main__ import main
from pipelines.review.publishing import publish
from tests.evaluation.small_run import EVALUATION, small_run
from tests.faults.proxy import Cut, Hang, Proxy
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.tracking.tracked import export, history, job, step_at, tracked

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def test_a_run_is_one_entry_with_all_that_is_known_of_it_however_often_it_is_exported(
    runs: Path, port: int, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(runs, port, "whole", "whole") == 0
    assert export(runs, port, "whole", "whole") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.replace(": made, ", ": unchanged, ") == second
    (run,) = tracked(client, "whole")
    assert first.endswith(f"/runs/{run.info.run_id}")
    assert (run.info.run_name, run.info.status) == ("whole", "FINISHED")
    assert run.info.end_time - run.info.start_time == 60_000
    record: Any = read_json(runs / "whole/run.json")
    assert run.data.params["training.seed"] == str(record["settings"]["training"]["seed"])
    assert run.data.params["source"] == "sample://nasdaq"
    scores = read_result(Scores, small_run()["evaluation"])
    sent = run.data.metrics
    assert sent["mae_log"] == scores.forecasts[MODEL].metrics.log.overall.mae
    assert [sent["skill_low"], sent["skill"], sent["skill_high"]] == [
        scores.headline.low,
        scores.headline.skill,
        scores.headline.high,
    ]
    assert sent["perturbations"] == len(read_result(Findings, small_run()["findings"]).perturbations)
    assert sent["step_seconds/train"] == 12.5
    (course,) = read_courses(small_run()["model"])
    assert history(client, run.info.run_id, "validation_loss") == list(course.validated.items())
    assert [value for _, value in history(client, run.info.run_id, "train_loss")] == list(
        course.epochs["train_loss"]
    )
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"report.html", "scores.json"}
    assert run.data.tags["mlflow.source.git.commit"] == "0123456789ab"
    assert run.data.tags["mlflow.note.content"].startswith(scores.verdict.sentences[0])
    assert run.data.tags["pgat.code_version"] == record["code_version"]


def test_an_export_that_broke_off_anywhere_is_completed_by_the_same_command(
    runs: Path,
    port: int,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Answers are lost after some bytes: before the run is made, while it is filled, and near its end."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    broken = 0
    with Proxy("127.0.0.1", port) as proxy:
        for cut in (10, 400, 1200, 2000, 4000):
            experiment = f"cut-{cut}"
            proxy.fault = Cut(cut)
            broken += export(runs, proxy.port, experiment, "whole") == 2
            assert "Traceback" not in capsys.readouterr().err
            proxy.fault = None
            assert export(runs, proxy.port, experiment, "whole") == 0
            (run,) = tracked(client, experiment)
            assert run.info.status == "FINISHED"
            (course,) = read_courses(small_run()["model"])
            assert history(client, run.info.run_id, "validation_loss") == list(course.validated.items())
            assert len(client.list_artifacts(run.info.run_id)) == 2
    assert broken > 1


def test_what_ended_early_says_so_and_what_goes_on_later_is_the_same_entry(
    runs: Path, port: int, client: MlflowClient
) -> None:
    failed = synthetic_record(
        1, name="tried", status="failed", failed_step="train", reason="no\nmemory", headline=None
    )
    write_record(runs, failed)
    write_record(
        runs, synthetic_record(2, name="by-hand", status="stopped", failed_step="train", headline=None)
    )
    assert export(runs, port, "early", "tried", "by-hand") == 0
    ended = {run.info.run_name: run for run in tracked(client, "early")}
    assert {name: run.info.status for name, run in ended.items()} == {"tried": "FAILED", "by-hand": "KILLED"}
    assert "no\\nmemory" in ended["tried"].data.tags["mlflow.note.content"]
    attempt = {"started_at": failed.started_at, "status": "failed", "failed_step": "train"}
    later = read_json(runs / "whole/run.json") | {
        "name": "tried",
        "settings": failed.settings,
        "started_at": "2026-03-01T00:00:00+00:00",
        "attempts": [attempt],
    }
    replace_json(runs / "tried/run.json", later)
    assert export(runs, port, "early", "tried") == 0
    again = {run.info.run_name: run for run in tracked(client, "early")}
    assert len(again) == 2
    assert again["tried"].info.run_id == ended["tried"].info.run_id
    assert again["tried"].info.status == "FINISHED"


def test_an_entry_that_was_deleted_is_made_anew_and_of_several_one_is_left(
    runs: Path, port: int, client: MlflowClient
) -> None:
    assert export(runs, port, "deleted", "whole") == 0
    (run,) = tracked(client, "deleted")
    twin = client.create_run(run.info.experiment_id, tags={"pgat.key": run.data.tags["pgat.key"]})
    assert export(runs, port, "deleted", "whole") == 0
    assert [each.info.run_id for each in tracked(client, "deleted")] == [run.info.run_id]
    assert client.get_run(twin.info.run_id).info.lifecycle_stage == "deleted"
    client.delete_run(run.info.run_id)
    assert export(runs, port, "deleted", "whole") == 0
    (anew,) = tracked(client, "deleted")
    assert anew.info.run_id != run.info.run_id


@pytest.mark.usefixtures("s3")
def test_a_run_is_the_same_entry_when_it_is_exported_from_where_it_was_published(
    runs: Path, port: int, client: MlflowClient
) -> None:
    for kind in ("model", "evaluation", "findings"):
        shutil.copytree(small_run()[kind], runs / "whole" / kind)
    changes = {
        "artifacts": {kind: kind for kind in ("model", "evaluation", "findings")},
        "source": "/home/me/my.csv",
    }
    replace_json(runs / "whole/run.json", read_json(runs / "whole/run.json") | changes)
    assert export(runs, port, "published", "whole") == 0
    (run,) = tracked(client, "published")
    publish(runs, "whole", "s3://bucket/runs")
    assert export("s3://bucket/runs", port, "published", "whole") == 0
    (again,) = tracked(client, "published")
    assert again.info.run_id == run.info.run_id
    assert again.data.metrics == run.data.metrics
    assert len(history(client, run.info.run_id, "train_loss")) == 2


def test_settings_beyond_mlflows_limits_are_cut_and_not_refused(
    runs: Path, port: int, client: MlflowClient
) -> None:
    many = {f"name_{number}": number for number in range(250)}
    settings = {"data": {"columns": "x" * 7000, **many}, "y" * 300: 1}
    replace_json(runs / "whole/run.json", read_json(runs / "whole/run.json") | {"settings": settings})
    assert export(runs, port, "limits", "whole") == 0
    (run,) = tracked(client, "limits")
    assert len(run.data.params) == 252
    assert run.data.params["data.columns"] == "x" * 5999 + "…"


def test_a_training_tells_the_run_of_its_environment_each_epoch_once(
    port: int, client: MlflowClient, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = step_at(client, f"http://127.0.0.1:{port}", "training", monkeypatch)
    launch_from_settings(job(dataset, tmp_path / "model"))
    (course,) = read_courses(tmp_path / "model")
    rows = [(int(step), loss) for step, loss in course.validated.items()]
    assert sorted(history(client, run_id, "validation_loss")) == rows
    assert [step for step, _ in sorted(history(client, run_id, "train_loss"))] == [1, 2]
    run = client.get_run(run_id)
    assert run.data.params["training.train_epochs"] == "2"
    assert run.info.status == "RUNNING", "whoever made the run ends it"
    launch_from_settings(job(dataset, tmp_path / "model"))
    assert sorted(history(client, run_id, "validation_loss")) == rows


def test_several_models_have_curves_of_their_own(
    port: int, client: MlflowClient, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = step_at(client, f"http://127.0.0.1:{port}", "members", monkeypatch)
    launch_from_settings(job(dataset, tmp_path / "model", seeds=(1, 2)))
    for number, course in enumerate(read_courses(tmp_path / "model"), 1):
        steps = [step for step, _ in history(client, run_id, f"member-{number}/validation_loss")]
        assert sorted(steps) == sorted(course.validated)


def test_a_report_arrives_under_a_name_that_mlflow_shows(
    port: int, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubeflow has a step write to paths of its own, without an ending."""
    run_id = step_at(client, f"http://127.0.0.1:{port}", "report", monkeypatch)
    report(
        **{name: small_run()[name] for name in ("dataset", "model", "evaluation", "findings")},
        report=tmp_path / "report",
        summary=tmp_path / "summary",
        settings=ReportSettings(example_windows=1),
        publish_uri=None,
        run_name="mine",
    )
    assert {file.path for file in client.list_artifacts(run_id)} == {"report.html", "summary.md"}


def test_an_evaluation_tells_its_scores(
    port: int, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = step_at(client, f"http://127.0.0.1:{port}", "evaluation", monkeypatch)
    dataset, model = small_run()["dataset"], small_run()["model"]
    evaluate(dataset=dataset, model=model, evaluation=tmp_path / "evaluation", settings=EVALUATION)
    assert (
        client.get_run(run_id).data.metrics["skill"]
        == read_result(Scores, tmp_path / "evaluation").headline.skill
    )
    assert [file.path for file in client.list_artifacts(run_id)] == ["scores.json"]


@pytest.mark.parametrize("fault", [Hang(), Cut(0)])
def test_a_server_that_is_lost_while_it_trains_costs_one_warning(
    fault: Hang | Cut,
    port: int,
    client: MlflowClient,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("components.tracking.running.LAST_SECONDS", 1.0)
    with Proxy("127.0.0.1", port) as proxy, caplog.at_level(logging.WARNING):
        step_at(client, proxy.url, f"lost {type(fault).__name__}", monkeypatch)
        proxy.fault = fault
        launch_from_settings(job(dataset, tmp_path / "model"))
    assert len(read_courses(tmp_path / "model")[0].epochs) == 2
    (warning,) = [record for record in caplog.records if record.name == "pgat.tracking"]
    assert "this step goes on" in warning.getMessage()


def test_json_names_each_run_and_its_address(
    runs: Path, port: int, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{port}"
    given = ["--runs", str(runs), "--mlflow", url, "--experiment", "json", "--json"]
    assert main(["runs", "export", "whole", "whole", *given]) == 0
    (run,) = tracked(client, "json")
    ((sent),) = json.loads(capsys.readouterr().out)["exported"]
    assert (sent["run_id"], sent["what"]) == (run.info.run_id, "made")
    assert sent["url"] == f"{url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
