"""What a launcher or a store of checkpoints lacks is said in a sentence before anything is done."""

import socket
from pathlib import Path

import pytest
import torch

from components.train.__main__ import main as command
from components.train.launchers import launch_from_settings
from model_core.errors import SettingsError
from tests.training.prepared import job_for


def refusal(capsys: pytest.CaptureFixture[str], dataset: Path, model: Path, *flags: str) -> str:
    """What the command says of ``flags`` when it leaves with exit code 2 and without a model."""
    with pytest.raises(SystemExit) as caught:
        command(["--dataset", str(dataset), "--model", str(model), *flags])
    assert caught.value.code == 2
    assert not model.exists()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--launcher", "slurm"], "invalid choice: 'slurm'"),
        (["--set", "training.launcher.kind=slurm"], "training.launcher.kind"),
        (["--set", "training.launcher.processes=0"], "training.launcher.processes"),
        (["--launcher", "trainer"], "needs training.launcher.image and a --checkpoint-uri"),
        (["--launcher", "trainer", "--set", "training.launcher.image=r/train:1"], "--checkpoint-uri like"),
        (["--launcher", "trainer", "--checkpoint-uri", "s3://bkt/p"], "needs training.launcher.image"),
        (
            ["--set", "training.launcher.kind=trainer", "--set", "training.launcher.image=r/train:1",
             "--checkpoint-uri", "runs/checkpoints"],
            "can only exchange files through a store",
        ),
    ],
)  # fmt: skip
def test_a_launcher_without_what_it_needs_is_refused_in_a_sentence(
    flags: list[str], said: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, dataset, tmp_path / "model", *flags)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU torchrun knows how many processes to start")
def test_torchrun_without_gpu_asks_for_a_number_of_processes(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, dataset, tmp_path / "model", "--launcher", "torchrun")
    assert said.endswith("set training.launcher.processes to a number")


def test_the_trainer_without_a_cluster_is_refused_before_anything_is_uploaded(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kubeflow.trainer", reason="the extra 'trainer' is not installed")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "nowhere")
    flags = ["--launcher", "trainer", "--set", "training.launcher.image=r/train:1"]
    flags += ["--checkpoint-uri", f"file://{tmp_path / 'store'}"]
    said = refusal(capsys, dataset, tmp_path / "model", *flags, "--set", "model.d_model=26")
    assert said.startswith("error: the launcher trainer finds no Kubeflow Trainer")
    assert said.endswith("or point KUBECONFIG to it")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uri", ["s3://bucket/run", "a file/run"])
def test_checkpoints_that_cannot_be_reached_at_the_start_are_refused(
    uri: str,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Later they would be tried again; at the start nothing is lost, and to go on might mean to start anew."""
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        said = refusal(capsys, dataset, tmp_path / "model", "--checkpoint-uri", uri)
    assert said.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_launcher_that_the_pipelines_parameter_misspells_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="slurm is not a launcher; choose one of inline, torchrun, trainer"
    ):
        launch_from_settings(job_for(dataset, tmp_path / "model"), kind="slurm")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE is 'abc', not a number"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is '', not a number"),
        ({"WORLD_SIZE": "0"}, "RANK is 0 and WORLD_SIZE 0"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1', not a number"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, without RANK"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is 2, without LOCAL_RANK"),
        ({"WORLD_SIZE": "2", "RANK": "x", "LOCAL_RANK": "0"}, "RANK is 'x', not a number"),
        ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}, "RANK is 2 and WORLD_SIZE 2"),
        ({"RANK": "1"}, "RANK is 1 and WORLD_SIZE 1"),
        (
            {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
            "WORLD_SIZE is 2, without MASTER_ADDR and MASTER_PORT",
        ),
    ],
)
def test_a_group_that_is_half_described_is_refused_with_what_is_wrong(
    variables: dict[str, str],
    said: str,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert f"error: {said}; torchrun sets them all" in refusal(capsys, dataset, tmp_path / "model").replace(
        ", and ranks count from 0", ""
    )
