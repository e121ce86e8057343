"""What no pod could do is refused before anything is sent."""

from pathlib import Path

import pytest

from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import UserError
from pipelines.__main__ import main
from pipelines.pods.profiles import load_pods
from pipelines.resources import Cluster
from tests.pipeline.kubeflow_server import Object
from tests.pipeline.submissions import PLACES, submission


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
    submission(
        "http://127.0.0.1:9", settings=torchrun(), cluster=Cluster(tag="0123456", pods=load_pods(gpus=2))
    )
    chosen = ["training.launcher.kind=trainer", "training.launcher.image=i:0123456", "training.device=cuda"]
    submission(
        "http://127.0.0.1:9", settings=load_settings(None, chosen), checkpoint_uri="s3://bkt/c", **PLACES
    )


def test_a_schedule_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--tag", "0123456", "--cron", "0 0 22 * * 1-5", "--wait"]
    assert main(["submit", "--host", "http://127.0.0.1:9", *flags]) == 2
    assert capsys.readouterr().err == (
        "error: --wait waits for one run, and --cron starts many; leave one of them out\n"
    )


@pytest.mark.parametrize("command", ["compile", "submit"])
@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--tag", "abc-dirty"], "no image contains"),
        (["--tag", "0123456", "--gpus=-1"], "train.gpus is -1"),
        (["--tag", "0123456", "--set-pod", "train.gpu=1"], "did you mean"),
        (["--tag", "0123456", "--profile", "missing.yaml"], "does not exist"),
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
