"""How long a step's container takes until the step says its first line: step_start.py [--engine podman] [--repeats 5]

Needs the images (`make images`). Prepares, trains, evaluates and diagnoses a tiny market in them, then starts `train`
and `report` again and again on it. One JSON line a step; seconds from the engine's start to the first line.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from pipelines.runners.containers import HARDENED

SETTINGS = """
data:
  window: {seq_len: 32, label_len: 16, pred_len: 10}
  synthetic: {rows: 700}
model: {d_model: 26, n_heads: 2, e_layers: 1, d_layers: 1, d_ff: 32, celestial_dim: 4, celestial_fusion_layers: 1}
training: {train_epochs: 1, train_window_stride: 8, batch_size: 8, warmup_epochs: 0, gradient_accumulation_steps: 1}
diagnostics: {max_batches: 1, attack_strengths: [0.05], attack_masks: [prices], pgd_steps: 2}
"""
DATASET, MODEL = ("--dataset", "runs/dataset"), ("--model", "runs/model")
SCORES = ("--evaluation", "runs/evaluation")
FINDINGS = ("--findings", "runs/findings")
PAGE = ("--report", "runs/report.html", "--summary", "runs/summary.md", "--run-name", "start")


def main() -> None:
    """Measure ``train`` and ``report``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="podman")
    parser.add_argument("--tag", default="local")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        (runs / "tiny.yaml").write_text(SETTINGS, encoding="utf-8")

        def command(step: str, *arguments: str) -> list[str]:
            options = ["--rm", *HARDENED, "--env=OMP_NUM_THREADS=1"]
            options += [
                "--user=0:0",
                "--network=host",
                f"--volume={runs}:/pgat/runs",
                f"pgat-{step}:{given.tag}",
            ]
            return [given.engine, "run", *options, "--config", "runs/tiny.yaml", *arguments]

        for step, arguments in {
            "prepare-data": ("--source", "sample://synthetic", *DATASET),
            "train": (*DATASET, *MODEL),
            "evaluate": (*DATASET, *MODEL, *SCORES),
            "diagnose": (*DATASET, *MODEL, *FINDINGS),
        }.items():
            subprocess.run(command(step, *arguments), check=True, stdout=subprocess.DEVNULL)
        for step, arguments in {
            "train": (*DATASET, "--model", "runs/again"),
            "report": (*DATASET, *MODEL, *SCORES, *FINDINGS, *PAGE),
        }.items():
            seconds, line = zip(
                *(until_first_line(command(step, *arguments)) for _ in range(given.repeats)), strict=True
            )
            found = {
                "case": "start",
                "step": step,
                "seconds_median": round(statistics.median(seconds), 2),
                "seconds_all": [round(each, 2) for each in seconds],
                "first_line": line[0],
            }
            print(json.dumps(found, ensure_ascii=False))


def until_first_line(command: list[str]) -> tuple[float, str]:
    """Seconds until the container prints something, and what it was; the step then runs to its end."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().rstrip()
        seconds = time.perf_counter() - begun
        rest = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{line}\n{rest}")
    return seconds, line


if __name__ == "__main__":
    main()
