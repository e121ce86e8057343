"""A run that goes on where numbers are added in another order: another instruction set, another number of threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model_core.checkpoints.files import WEIGHTS, load_training
from tests.training.processes import HANGS_AFTER
from tests.training.test_distributed import COMPUTED, GENTLE, tiny_model
from tests.training.tiny import InFloat64, json_lines, train_tiny

REPOSITORY = Path(__file__).parents[2]
HERE = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"}
THERE = {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "4"}


def train_as(machine: dict[str, str], folder: Path, epochs: int) -> None:
    """Train up to so many epochs in a process whose torch computes as ``machine`` says."""
    subprocess.run(
        [sys.executable, "-m", "tests.training.test_resume_elsewhere", str(folder), str(epochs)],
        cwd=REPOSITORY,
        env=os.environ | machine,
        timeout=HANGS_AFTER,
        check=True,
    )


@pytest.mark.slow
def test_a_run_goes_on_from_the_same_bits_on_another_machine_and_ends_there_but_for_rounding(
    tmp_path: Path,
) -> None:
    """In float64, so that whatever else would differ stands out from the roundings."""
    whole, moved = tmp_path / "whole", tmp_path / "moved"
    train_as(HERE, whole, 3)
    train_as(HERE, moved, 2)
    left = load_training(moved / "last")["progress"]
    train_as(THERE, moved, 3)
    arrived = load_training(moved / "last")["progress"]
    assert arrived["history"][:2] == left["history"]
    assert len(json_lines(moved / "steps.jsonl")) == len(json_lines(whole / "steps.jsonl"))
    ours, theirs = (load_file(folder / "last" / WEIGHTS) for folder in (moved, whole))
    torch.testing.assert_close(ours, theirs, atol=COMPUTED, rtol=0.0)


if __name__ == "__main__":
    torch.manual_seed(GENTLE.seed)
    settings = GENTLE.model_copy(update={"train_epochs": int(sys.argv[2]), "lradj": "constant"})
    train_tiny(Path(sys.argv[1]), settings, InFloat64(tiny_model()))
