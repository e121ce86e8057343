"""A run says what it will cost before it starts."""

import socket
from pathlib import Path

import pytest

from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.results.run import SUCCEEDED
from pipelines.cost import cost_text
from tests.pipeline.synthetic_runs import synthetic_record, write_record


def told(runs: Path, **changes: object) -> str:
    same = {
        "host": socket.gethostname(),
        "settings": Settings().model_dump(mode="json"),
        "status": SUCCEEDED,
        "seconds": 3725.0,
        "reused": (),
    }
    write_record(runs, synthetic_record(1, **(same | changes)))
    return cost_text(load_settings(None, ["report.title=Another"]), "sample://nasdaq", runs)


def test_a_run_of_the_same_settings_and_table_tells_how_long_it_took(tmp_path: Path) -> None:
    assert told(tmp_path).startswith(f"up to {Settings().training.train_epochs} epochs of training; run-0001")
    assert told(tmp_path).endswith("took 62 min 5 s")


@pytest.mark.parametrize(
    "changes",
    [
        {"reused": ("train",)},
        {"host": "elsewhere"},
        {"status": "failed"},
        {"source": "another.csv"},
        {"settings": load_settings(None, ["training.train_epochs=1"]).model_dump(mode="json")},
    ],
    ids=str,
)
def test_a_run_of_another_kind_tells_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    assert "no run here has had these settings yet" in told(tmp_path, **changes)


def test_damaged_records_and_a_missing_folder_are_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/run.json").write_text("{", encoding="utf-8")
    assert "no run here" in cost_text(Settings(), "sample://nasdaq", tmp_path)
    assert "no run here" in cost_text(Settings(), "sample://nasdaq", tmp_path / "nowhere")
