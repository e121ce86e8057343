"""Whatever may take long in a step shows how far it is; here every piece of it speaks, however short."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import cli
from components.diagnose.step import run as diagnose
from components.evaluate.step import run as evaluate
from components.outbox import outbox
from components.train.job import Job
from components.train.step import run as train
from model_core.config.data import SkySettings
from model_core.config.run import DiagnosticsSettings, EvaluationSettings
from model_core.sky.ephemeris import positions
from tests.security.hostile_s3 import HostileS3, serving
from tests.training.prepared import MODEL, TRAINING, write_tiny_dataset


@pytest.fixture(name="spoken_of")
def _spoken_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Which works were spoken of so far, in the order of their first line."""
    monkeypatch.setattr("model_core.progress.FIRST_LINE_SECONDS", 0.0)
    caplog.set_level(logging.INFO, logger="pgat.progress")

    def works() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "pgat.progress"]
        return list(dict.fromkeys(line.rpartition(": ")[0] for line in lines))

    return works


@pytest.mark.slow
def test_the_steps_with_a_model_speak_of_all_their_work(
    tmp_path: Path, spoken_of: Callable[[], list[str]]
) -> None:
    dataset = write_tiny_dataset(tmp_path / "dataset")
    given: dict[str, Any] = {"dataset": dataset, "model": tmp_path / "model"}
    one_epoch = TRAINING.model_copy(update={"train_epochs": 1, "tensorboard": False})
    train(Job(**given, model_settings=MODEL, training_settings=one_epoch))
    evaluate(**given, evaluation=tmp_path / "evaluation", settings=EvaluationSettings(batch_size=2))
    settings = DiagnosticsSettings(batch_size=2, max_windows=8, pgd_steps=1)
    diagnose(**given, findings=tmp_path / "findings", settings=settings)
    assert spoken_of() == [
        "validating epoch 0",
        "epoch 1/1",
        "validating epoch 1",
        "reading the best checkpoint back",
        "forecasting test windows",
        "forecasting validation windows",
        "exchanging inputs",
        "exchanging the sky",
        "reading the learned graph",
        "forecasting clean windows",
        "perturbing windows",
    ]


def test_the_sky_of_a_long_table_is_spoken_of(
    spoken_of: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_core.sky.ephemeris._DATES_AT_ONCE", 4)
    positions(np.arange("2001-01-01", "2001-01-11", dtype="datetime64[D]"), SkySettings())
    assert spoken_of() == ["computing the sky"]


def test_folders_on_their_way_from_and_to_a_store_are_spoken_of(
    spoken_of: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = {"in/a": b"a", "in/b": b"b"}
    with serving(HostileS3(objects), monkeypatch) as server:
        with outbox(["s3://bucket/out"], lambda: "request") as box, cli.Files(box) as files:
            fetched, made = files.input("s3://bucket/in"), files.output("s3://bucket/out")
            made.mkdir(parents=True)
            for file in fetched.iterdir():
                (made / file.name).write_bytes(file.read_bytes())
            box.send()
        assert server.objects == objects | {"out/a": b"a", "out/b": b"b"}
    assert spoken_of() == ["fetching s3://bucket/in", "uploading s3://bucket/out"]
