"""Mixed precision on a CUDA device follows fp32 on the CPU, and its memory is logged."""

from pathlib import Path

import pytest
import torch

from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window, WindowSet
from model_core.nn.bundles import Forecast
from model_core.training.loop import train
from model_core.training.memory import memory_log
from model_core.training.outcome import TrainingResult
from tests.training.tiny import SETTINGS, TinyModel, json_lines, tiny_dataset, train_tiny

pytestmark = pytest.mark.gpu


def train_on_cuda(folder: Path, precision: str, model: TinyModel | None = None) -> TrainingResult:
    folder.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS.model_copy(update={"device": "cuda", "precision": precision})
    dataset = tiny_dataset()
    torch.manual_seed(1)
    with memory_log(folder / "memory_diagnostics.log", torch.device("cuda"), 1) as memory:
        return train(
            (TinyModel(dropout=0.0) if model is None else model).cuda(),
            WindowSet(dataset, "train", "cuda"),
            WindowSet(dataset, "validation", "cuda"),
            settings,
            folder,
            model_settings=ModelSettings(),
            inputs=ModelInputs.from_dataset(dataset),
            memory=memory,
        )


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 5e-2), ("fp16", 5e-2)])
def test_a_precision_on_cuda_follows_fp32_on_the_cpu(
    precision: str, tolerance: float, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    expected = train_tiny(tmp_path / "cpu", model=TinyModel(dropout=0.0)).result
    got = train_on_cuda(tmp_path / "cuda", precision)
    assert got.best_validation_loss == pytest.approx(expected.best_validation_loss, rel=tolerance)
    assert json_lines(tmp_path / "cuda" / "memory_diagnostics.log")[-1]["cuda_peak_allocated_mb"] > 0


class Hungry(TinyModel):
    """Asks the device for a petabyte when a batch is larger than four windows."""

    def forward(self, window: Window) -> Forecast:
        if self.training and len(window) > 4:
            torch.empty(10**15, dtype=torch.uint8, device="cuda")
        return super().forward(window)


def test_out_of_memory_on_cuda_dumps_the_allocators_summary_and_goes_on(tmp_path: Path) -> None:
    assert train_on_cuda(tmp_path, "fp32", Hungry(dropout=0.0)).epochs == 3
    lines = json_lines(tmp_path / "memory_diagnostics.log")
    (failed,) = [line for line in lines if line["stage"] == "out_of_memory"]
    assert "PyTorch CUDA memory summary" in failed["cuda_summary"]


def test_a_finished_run_on_cuda_is_recognized(tmp_path: Path) -> None:
    first = train_on_cuda(tmp_path, "fp16")
    again = train_on_cuda(tmp_path, "fp16")
    assert again.resumed_at == (3, 0)
    assert again.history == first.history
