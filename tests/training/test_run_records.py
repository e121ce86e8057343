"""What a run leaves for people: memory log, steps, history, TensorBoard events."""

import gc
import mmap
import re
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model_core.training.memory import MemoryLog
from tests.test_progress import a_terminal
from tests.training.tiny import SETTINGS, TinyModel, json_lines, train_tiny

SIZES = {
    "process_rss_mb", "process_peak_rss_mb", "process_vms_mb",
    "system_total_mb", "system_available_mb", "system_used_mb",
}  # fmt: skip


def test_the_memory_log_has_a_line_for_every_stage_and_interval(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    lines = json_lines(tmp_path / "memory_diagnostics.log")
    epoch = ["epoch_start", "batch", "batch", "batch", "validation", "epoch_end"]
    assert [line["stage"] for line in lines] == ["optimizer", "validation", *epoch * 3]
    assert [line["batch"] for line in lines if line["stage"] == "batch"] == [2, 4, 6] * 3
    assert all(line.keys() >= SIZES for line in lines)
    assert lines[0]["process_rss_mb"] <= lines[-1]["process_peak_rss_mb"] + 1


def kept_pages() -> mmap.mmap:
    """64 MiB that this process did not have before: from the kernel, so that no freed memory is used again."""
    pages = mmap.mmap(-1, 64 * 1024 * 1024)
    pages[:: mmap.PAGESIZE] = b"x" * len(pages[:: mmap.PAGESIZE])
    return pages


def test_a_leak_is_the_slope_of_the_memory_over_the_ends_of_epochs(tmp_path: Path) -> None:
    log, kept = MemoryLog(tmp_path / "log", torch.device("cpu"), 25), []
    gc.collect()
    with closing(log):
        for epoch in range(6):
            kept.append(kept_pages())
            log.stage("epoch_end", epoch=epoch)
    assert log.growth_mb_per_epoch() == pytest.approx(64, abs=16)


class Leaking(TinyModel):
    """Keeps 64 MiB more after each epoch has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[mmap.mmap] = []

    def anneal(self, epoch: int) -> None:
        self.kept.append(kept_pages())


def test_a_run_that_leaks_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train_tiny(tmp_path, SETTINGS.model_copy(update={"train_epochs": 6}), Leaking())
    assert re.search(r"memory grew by [567]\d MiB an epoch; see memory_diagnostics\.log", caplog.text)


def test_a_line_of_a_step_has_all_that_a_curve_needs(tmp_path: Path) -> None:
    train_tiny(tmp_path)
    lines = json_lines(tmp_path / "steps.jsonl")
    assert all(
        line.keys()
        == {
            "epoch", "step", "loss_total", "loss_mse", "learning_rate", "gradient_norm", "taken",
            "samples_per_second", "memory_mb",
        }
        for line in lines
    )  # fmt: skip
    assert all(line["samples_per_second"] > 0 and line["memory_mb"] > 0 for line in lines)
    assert [(line["epoch"], line["step"]) for line in lines[:5]] == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)]


def test_a_terminal_shows_a_bar_for_each_epoch(tmp_path: Path) -> None:
    with a_terminal() as shown:
        train_tiny(tmp_path)
    assert [f"epoch {epoch}/3:" in "".join(shown) for epoch in (1, 2, 3)] == [True, True, True]


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
