"""Damage and outages as the training command meets them: a model in the end, or one sentence before any work."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from components.train.__main__ import main
from model_core.artifacts import open_artifact
from model_core.checkpoints import records
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS
from model_core.checkpoints.lease import OWNER
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.records import BLOBS, RECORDS
from model_core.data.windows import Window
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from model_core.store import client
from model_core.training.state import Progress
from tests.faults.flips import flip_a_bit, flipped
from tests.faults.steps import TINY
from tests.security.hostile_s3 import HostileS3, serving

pytestmark = pytest.mark.usefixtures("preloaded")
WORK = ".model-training"


class PowerCut(Exception):
    """The machine is gone."""


@contextmanager
def after_epoch(epoch: int, folder: Path, do: Callable[[], None]) -> Iterator[None]:
    """Something happens once, at the first forward pass after an epoch."""
    waiting = [do]

    def look(module: torch.nn.Module, inputs: Any) -> None:
        done = (folder / WORK / f"epoch-{epoch:04d}").exists()
        if done and waiting and inputs and isinstance(inputs[0], Window):
            waiting.pop()()

    with torch.nn.modules.module.register_module_forward_pre_hook(look):
        yield
    assert not waiting


def cut() -> None:
    raise PowerCut


def words(dataset: Path, folder: Path, *more: str) -> list[str]:
    """The command: three epochs, each checkpoint kept."""
    settings = [
        "training.train_epochs=3",
        "training.checkpoint_interval=1",
        "training.gradient_accumulation_steps=1",
    ]
    flags = [word for setting in settings for word in ("--set", setting)]
    return ["--config", TINY, "--dataset", str(dataset), "--model", str(folder / "model"), *flags, *more]


def in_a_process(words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "components.train", *words], capture_output=True, text=True, check=False
    )


def results(folder: Path) -> TrainResults:
    """How a run ended whose model folder is whole."""
    open_artifact(folder / "model", producer="train")
    return read_result(TrainResults, folder / "model")


def newest_is_complete(folder: Path) -> bool:
    """Whether its newest checkpoint reached the store, as the run says."""
    mirror = results(folder).mirror
    return mirror is not None and mirror.newest_is_complete


@pytest.fixture(scope="module")
def stopped(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves whose machine was lost in its third epoch; the state after epoch 2 stands in ``last`` only."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        # No checkpoint but ``best`` holds the untrained model, and what is rebuilt here needs another one.
        patch.setattr(Progress, "awaits_first_score", False)
        with after_epoch(2, folder, cut), pytest.raises(PowerCut):
            main(words(dataset, folder))
    shutil.rmtree(folder / WORK / "epoch-0002")
    assert {path.name for path in (folder / WORK).iterdir() if path.is_dir()} == {BEST, LAST, "epoch-0001"}
    return folder


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def test_any_flipped_bit_of_a_manifest_costs_an_epoch_and_leaves_a_model(
    dataset: Path, stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in flipped((stopped / WORK / LAST / CHECKPOINT_MANIFEST).read_bytes(), 3, seed=1):
        folder = Path(shutil.copytree(stopped, tmp_path / "run"))
        (folder / WORK / LAST / CHECKPOINT_MANIFEST).write_bytes(content)
        caplog.clear()
        main(words(dataset, folder))
        assert results(folder).resumed_at == (1, 0)
        assert "trying an older one" in caplog.text
        shutil.rmtree(folder)


def test_a_process_that_finds_damage_says_so_in_a_line_and_leaves_a_model(dataset: Path, run: Path) -> None:
    (run / WORK / LAST / CHECKPOINT_MANIFEST).write_text("[]")
    (run / WORK / "steps.jsonl").write_bytes(b"\xff\n")
    flip_a_bit(run / WORK / BEST / WEIGHTS)
    ended = in_a_process(words(dataset, run))
    assert ended.returncode == 0
    assert results(run).resumed_at == (1, 0)
    assert "Traceback" not in ended.stderr
    for said in (
        f"{LAST}/{CHECKPOINT_MANIFEST} is damaged (it is not a JSON object); trying an older one",
        "steps.jsonl: left out 1 damaged line(s) (it is not JSON: byte 1 is not UTF-8)",
        f"{BEST}/{WEIGHTS} is damaged or missing; rebuilt from",
    ):
        assert sum(said in line for line in ended.stdout.splitlines()) == 1, said


def test_a_process_whose_checkpoints_are_all_damaged_is_refused_and_the_remedy_works(
    dataset: Path, run: Path
) -> None:
    for path in (run / WORK).glob(f"*/{CHECKPOINT_MANIFEST}"):
        path.write_text("{")
    before = sorted(path.name for path in (run / WORK).iterdir())
    ended = in_a_process(words(dataset, run))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    error = ended.stderr.splitlines()[-1]
    assert error.startswith(f"error: none of the 2 checkpoints in {run / WORK} can be used")
    assert "move this folder away to train from the start" in error
    assert sorted(path.name for path in (run / WORK).iterdir()) == before
    (run / WORK).rename(run / "away")
    main(words(dataset, run))
    assert results(run).resumed_at is None


def test_logs_that_vanish_while_a_run_trains_cost_no_model(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lose() -> None:
        for name in ("steps.jsonl", "memory_diagnostics.log", "history.parquet"):
            (tmp_path / WORK / name).unlink()

    with after_epoch(2, tmp_path, lose):
        main(words(dataset, tmp_path))
    assert results(tmp_path).last_epoch == 3
    assert pq.read_table(tmp_path / "model" / "history.parquet").num_rows == 3
    assert "steps.jsonl is gone, so the model folder has none" in caplog.text


STRAYS = {
    OWNER: b'{"run": "x", "ho',
    f"{RECORDS}notes.json": b"{}",
    f"{RECORDS}000000-00000001.json": b"[]",
    f"{RECORDS}000000-00000002.json": b"7",
    f"{RECORDS}999999-00000000.json": b'{"files": []}',
}


def test_whatever_appears_in_a_mirror_while_a_run_trains_the_run_ends_with_a_model(
    dataset: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "store"

    def plant() -> None:
        for key, content in STRAYS.items():
            (mirror / key).parent.mkdir(exist_ok=True)
            (mirror / key).write_bytes(content)

    with after_epoch(1, tmp_path, plant):
        main(words(dataset, tmp_path, "--checkpoint-uri", str(mirror)))
    assert newest_is_complete(tmp_path)
    shutil.rmtree(tmp_path / "model")
    main(words(dataset, tmp_path, "--checkpoint-uri", str(mirror)))
    assert results(tmp_path).resumed_at == (3, 0)


def test_blobs_that_are_deleted_while_a_run_trains_are_whole_again_when_it_says_complete(
    dataset: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "store"
    with after_epoch(2, tmp_path, lambda: shutil.rmtree(mirror / BLOBS, ignore_errors=True)):
        main(words(dataset, tmp_path, "--checkpoint-uri", str(mirror)))
    assert newest_is_complete(tmp_path)
    shutil.rmtree(tmp_path / "model")
    main(words(dataset, tmp_path, "--checkpoint-uri", str(mirror)))
    assert results(tmp_path).resumed_at == (3, 0)


def test_an_outage_at_the_start_is_one_sentence_and_takes_no_older_checkpoint(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(records, "PAUSES_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(client, "_RETRIES", client._RETRIES.new(backoff_factor=0.0))
    there = words(dataset, tmp_path, "--checkpoint-uri", "s3://bucket/run")
    with serving(HostileS3(), monkeypatch) as server:
        main(there)
        shutil.rmtree(tmp_path / "model")
        newest = max(key for key in server.objects if RECORDS in key)
        weights = json.loads(server.objects[newest])["files"][f"{LAST}/{WEIGHTS}"]["sha256"]
        for key in (newest, f"run/{BLOBS}{weights}"):
            server.unavailable = {key}
            capsys.readouterr()
            caplog.clear()
            with pytest.raises(SystemExit) as end:
                main(there)
            assert end.value.code == 2
            error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
            assert len(error) == 1
            assert key.removeprefix("run/") in error[0]
            assert "asking again" in caplog.text
            assert "damaged" not in caplog.text
            assert list(tmp_path.iterdir()) == []
        server.unavailable = set()
        main(there)
    assert results(tmp_path).resumed_at == (3, 0)
