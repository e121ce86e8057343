"""A folder with every JSON file that a step or a run leaves, each written by the code that writes it."""

import atexit
import hashlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch

from components.entry_points import kfp_entry_point
from components.register_model.step import run as register
from model_core.checkpoints.files import ENSEMBLE, export_ensemble
from model_core.checkpoints.lease import OWNER, Lease
from model_core.checkpoints.mirror import Mirror
from model_core.config.run import Settings
from model_core.data.windows import WindowSet
from model_core.deadlines import Ending
from model_core.distributed import SINGLE_PROCESS
from model_core.report.evidence import read_evidence
from model_core.report.published import publish
from model_core.results.shrinkage import FittedShare, Shrinkage
from model_core.store.local import LocalStore
from model_core.training.rescue import dump_nonfinite
from model_core.training.step import StepResult
from model_core.variables import STEP_NOTES
from pipelines.runners.process import RunProgress
from pipelines.state import RunState
from tests.data.market import noise_dataset
from tests.evaluation.small_run import EVALUATION, small_run
from tests.pipeline.registry_server import ModelRegistry
from tests.serving import answering
from tests.training.processes import HANGS_AFTER


@cache
def every_artifact() -> Path:
    """The small run's folders, and beside them ``mirror``, ``checkpoints``, ``run`` and ``published``."""
    root = Path(tempfile.mkdtemp(prefix="artifacts-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name, folder in small_run().items():
        shutil.copytree(folder, root / name)
    _write_beside_the_weights(root)
    _write_mirror(root)
    _write_nonfinite(root / "checkpoints")
    _write_run(root)
    _publish(root)
    _write_note(root)
    _write_registration(root)
    return root


def _write_beside_the_weights(root: Path) -> None:
    """What only training with ``training.seeds`` or with enough validation windows leaves."""
    best, kept = root / "model" / "best", FittedShare(share=0.5, base_loss=1.0, kept_loss=0.9, model_loss=1.1)
    shrinkage = Shrinkage(blocks=8, reason=None, close=kept, candle=kept, close_width=None, candle_width=None)
    export_ensemble([best, best], root / "ensemble", shrinkage, loss=0.5)
    for name in (ENSEMBLE, Shrinkage.file):
        shutil.move(root / "ensemble" / name, best / name)


def _write_mirror(root: Path) -> None:
    store = LocalStore(root / "mirror")
    lease = Lease(store)
    lease.claim()
    owner = store.read(OWNER)
    with Mirror(store, lease, 1, Ending(HANGS_AFTER, HANGS_AFTER)) as mirror:
        mirror.submit(root / "model", ["best"], 1, 0)
        deadline = time.monotonic() + HANGS_AFTER
        while not mirror.checkpoints:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    # The end of a run takes its sign of life away.
    store.write(OWNER, owner)


def _write_nonfinite(folder: Path) -> None:
    folder.mkdir()
    dataset = noise_dataset()
    result = StepResult({"total": float("nan"), "mixture": 1.5}, float("inf"), {"encoder": float("inf")})
    dump_nonfinite(
        folder, WindowSet(dataset, "train"), torch.tensor([0, 1]), result, "epoch 1, step 2", SINGLE_PROCESS
    )


def _write_run(root: Path) -> None:
    folder = root / "run"
    folder.mkdir()
    progress = RunProgress(sys.stdout, folder, 5, seconds={"train": 12.0}, reused=["prepare_data"])
    outputs = {name: root / name for name in small_run()}
    RunState(folder, Settings(), "sample://nasdaq", progress).succeeded(outputs, 20.0)


def _publish(root: Path) -> None:
    page, summary = root / "report.html", root / "summary.md"
    page.write_text(hashlib.sha256(b"page").hexdigest())
    summary.write_text("summary")
    evidence = read_evidence(**{name: root / name for name in small_run()})
    publish(str(root / "published"), "name", report=page, summary=summary, evidence=evidence)


@dataclass
class _Metrics:
    uri: str
    path: str

    def log_metric(self, metric: str, value: float) -> None:
        """KFP's own business."""


def _write_note(root: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STEP_NOTES, "train")
        with kfp_entry_point(_Metrics(f"{root}/train/metrics", str(root / "metrics"))) as headline:
            headline["epochs"] = 1.0


def _write_registration(root: Path) -> None:
    folders = {name: small_run()[name] for name in ("dataset", "model", "evaluation")}
    with answering(ModelRegistry()) as registry:
        register(
            **folders,
            model_uri="s3://market/model",
            registration=root / "registration",
            settings=EVALUATION,
            model_registry=registry.url,
            registered_name="pgat",
            run_name="name",
            publish_uri=None,
        )
