"""Stores that hang or crawl, as the commands meet them: each ends by itself, within the time that its settings give it.

The processes here would wait for minutes if a deadline were missing, far longer than ``HANGS_AFTER``.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.prepare_data.__main__ import main as prepare_data
from components.train.__main__ import main as train
from model_core import progress
from model_core.artifacts import open_artifact, read_json
from model_core.checkpoints.records import RECORDS
from tests.data.market import saved, table
from tests.faults.proxy import Hang, Proxy, Slow
from tests.faults.steps import TINY
from tests.security.hostile_s3 import HostileS3

pytestmark = pytest.mark.usefixtures("preloaded")
HANGS_AFTER = 110.0
"""Seconds: less than the usual ``store.total_seconds``, after which one operation gives up by itself."""
URI = "s3://bucket/run"


@pytest.fixture
def proxy(s3: HostileS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", s3.server_port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def started(dataset: Path, folder: Path, *settings: str) -> "subprocess.Popen[str]":
    """The command that trains, with a checkpoint in the store after each epoch."""
    flags = [word for setting in ("training.checkpoint_interval=1", *settings) for word in ("--set", setting)]
    words = ["--config", TINY, "--dataset", str(dataset), "--model", str(folder / "model"), *flags]
    return subprocess.Popen(
        [sys.executable, "-m", "components.train", *words, "--checkpoint-uri", URI],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """What a process said until it ended."""
    try:
        return process.communicate(timeout=HANGS_AFTER)[0]
    finally:
        process.kill()


def test_a_run_that_gets_sigterm_while_its_store_hangs_ends_within_its_grace(
    dataset: Path, s3: HostileS3, proxy: Proxy, tmp_path: Path
) -> None:
    process = started(
        dataset, tmp_path, "training.train_epochs=100000", "training.termination_grace_seconds=1"
    )

    def hang_and_stop(key: str) -> None:
        if RECORDS in key:
            proxy.fault = Hang()
            process.terminate()

    s3.on_put = hang_and_stop
    said = ended(process)
    assert process.returncode == 143, said
    assert "got SIGTERM: saved epoch" in said
    assert "the newest checkpoint is not in s3://bucket/run; it is in the local folder only" in said
    assert "the next run on s3://bucket/run will wait 30 s" in said
    assert (tmp_path / ".model-training" / "last" / "checkpoint.json").exists()


def test_a_run_whose_store_hangs_at_its_end_leaves_its_model_within_its_patience(
    dataset: Path, s3: HostileS3, proxy: Proxy, tmp_path: Path
) -> None:
    process = started(dataset, tmp_path, "training.train_epochs=2", "training.mirror_patience_seconds=1")

    def hang(key: str) -> None:
        if RECORDS in key:
            proxy.fault = Hang()

    s3.on_put = hang
    said = ended(process)
    assert process.returncode == 0, said
    open_artifact(tmp_path / "model", producer="train")
    mirror: Any = read_json(tmp_path / "model" / "results.json")["mirror"]
    assert mirror["newest_is_complete"] is False


def test_a_run_that_gets_sigterm_while_it_claims_a_place_in_a_store_that_hangs_ends_too(
    dataset: Path, s3: HostileS3, proxy: Proxy, tmp_path: Path
) -> None:
    process = started(dataset, tmp_path, "training.termination_grace_seconds=1")

    def hang_and_stop(key: str) -> None:
        proxy.fault = Hang()
        process.terminate()

    s3.on_put = hang_and_stop  # its first object is the owner's name
    said = ended(process)
    assert process.returncode == 143, said
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def refused(run: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which a command ends that could not begin."""
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def test_a_store_that_hangs_at_the_start_is_one_sentence(
    dataset: Path, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.fault = Hang()
    words = ["--config", TINY, "--dataset", str(dataset), "--model", str(tmp_path / "model")]
    words += ["--checkpoint-uri", URI, "--set", "store.total_seconds=1"]
    error = refused(train, words, capsys)
    assert error.startswith("error: cannot look up owner.json in s3://bucket/run: it did not answer in time")
    assert "raise store.total_seconds (1)" in error
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_crawls_is_shown_coming_and_given_up_in_one_sentence(
    s3: HostileS3,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3.objects["m/table.csv"] = Path(saved(table(), tmp_path)).read_bytes()
    monkeypatch.setattr(progress, "FIRST_LINE_SECONDS", 0.0)
    words = ["--config", TINY, "--source", "s3://bucket/m/table.csv", "--dataset", str(tmp_path / "dataset")]
    proxy.fault = Slow(bytes_per_tick=200, tick_seconds=0.01)
    limits = ["--set", "store.least_bytes_per_second=1e6", "--set", "store.rate_window_seconds=0.2"]
    error = refused(prepare_data, [*words, *limits], capsys)
    assert error.startswith("error: cannot read table.csv in s3://bucket/m: ")
    assert "bytes/s over the last" in error
    assert "lower store.least_bytes_per_second (1,000,000)" in error
    assert not (tmp_path / "dataset").exists()
    caplog.clear()
    prepare_data([*words, "--set", "store.least_bytes_per_second=1", *limits[2:]])
    open_artifact(tmp_path / "dataset", producer="prepare_data")
    assert "reading s3://bucket/m/table.csv: " in caplog.text
    assert " kB (" in caplog.text


def test_an_input_folder_that_crawls_is_given_up_in_one_sentence(
    dataset: Path, s3: HostileS3, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.objects |= {f"data/{path.name}": path.read_bytes() for path in dataset.iterdir()}
    proxy.fault = Slow(bytes_per_tick=200, tick_seconds=0.01)
    words = ["--config", TINY, "--dataset", "s3://bucket/data", "--model", str(tmp_path / "model")]
    limits = ["--set", "store.least_bytes_per_second=1e6", "--set", "store.rate_window_seconds=0.2"]
    error = refused(train, [*words, *limits], capsys)
    assert " in s3://bucket/data: " in error
    assert "lower store.least_bytes_per_second (1,000,000)" in error
    assert list(tmp_path.iterdir()) == []


def test_limits_of_the_settings_reach_the_steps_of_a_pipeline_and_not_their_parameters() -> None:
    from components.steps import STEPS
    from model_core.config.load import load_settings
    from model_core.deadlines import Limits
    from model_core.variables import LIMITS, STORE
    from pipelines.resources import Cluster
    from pipelines.training import settings_parameters, training_pipeline

    settings = load_settings(None, ["store.total_seconds=600"])
    assert settings_parameters(settings) == settings_parameters(load_settings(None))
    limits = settings.store.limits()
    cluster = Cluster(tag="0123456789ab", store_limits=limits.as_text())
    compiled = training_pipeline(settings, cluster.configure_task, "code").pipeline_spec
    executors = json.loads(json.dumps(_as_json(compiled)))["deploymentSpec"]["executors"]
    told = [
        variable["value"]
        for executor in executors.values()
        for variable in executor["container"].get("env", [])
        if variable["name"] == LIMITS
    ]
    assert told == [limits.as_text()] * len(STEPS)
    assert Limits.of_environment({LIMITS: told[0]}).total_seconds == 600
    assert LIMITS in STORE


def _as_json(message: Any) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message)
