"""What a run leaves for people: memory log, steps, history, TensorBoard events."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model_core.training.memory import MemoryLog
from tests.training.tiny import SETTINGS, json_lines, train_tiny

SIZES = {
    "process_rss_mb", "process_peak_rss_mb", "process_vms_mb",
    "system_total_mb", "system_available_mb", "system_used_mb",
}  # fmt: skip


def test_the_memory_log_has_a_line_for_every_stage_and_interval(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    lines = json_lines(tmp_path / "memory_diagnostics.log")
    epoch = ["epoch_start", "batch", "batch", "validation", "epoch_end"]
    assert [line["stage"] for line in lines] == ["optimizer", *epoch * 3]
    assert all(line.keys() >= SIZES for line in lines)
    assert lines[0]["process_rss_mb"] <= lines[-1]["process_peak_rss_mb"] + 1


def test_a_leak_is_the_slope_of_the_memory_over_the_ends_of_epochs(tmp_path: Path) -> None:
    log = MemoryLog(tmp_path / "log", torch.device("cpu"), 25)
    kept = []
    with log:
        for epoch in range(6):
            kept.append(bytearray(8 * 1024 * 1024))
            kept[-1][::4096] = b"x" * len(kept[-1][::4096])  # touch every page
            log.stage("epoch_end", epoch=epoch)
    assert log.growth_mb_per_epoch() == pytest.approx(8, abs=2)


def test_the_history_has_a_row_per_epoch_and_the_parts_of_the_loss(tmp_path: Path) -> None:
    result = train_tiny(tmp_path).result
    rows = pq.read_table(tmp_path / "history.parquet").to_pylist()
    assert rows == result.history
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[0]["train_loss"] == pytest.approx(rows[0]["train_mse"])
    assert min(row["validation_loss"] for row in rows) == result.best_validation_loss


def test_tensorboard_reads_the_losses_back(tmp_path: Path) -> None:
    result = train_tiny(tmp_path, SETTINGS.model_copy(update={"tensorboard": True})).result
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [event.value for event in events.Scalars("epoch/validation_loss")]
    assert shown == pytest.approx([row["validation_loss"] for row in result.history])
