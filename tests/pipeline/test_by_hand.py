"""The five steps on the command line, one after another, with folders and with an object store."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_core.artifacts import open_artifact
from model_core.store.locate import open_store
from tests.store.real import real_store

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TINY = str(Path(__file__).parent / "tiny.yaml")
REPOSITORY = Path(__file__).parent.parent.parent


Step = Callable[..., dict[str, float]]
"""Name of a step and its arguments → the headline that it prints."""


def as_command(name: str, *arguments: str) -> dict[str, float]:
    """What ``python -m components.<name>`` prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"components.{name}", "--config", TINY, *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def chain(place: str, step: Step) -> None:
    places = {name: f"{place}/{name}" for name in ("dataset", "model", "evaluation", "findings")}
    flags = {name: [f"--{name}", uri] for name, uri in places.items()}
    trained = [*flags["dataset"], *flags["model"]]
    step("prepare_data", "--source", "sample://synthetic", *flags["dataset"])
    assert step("train", *trained)["epochs"] == 1
    step("evaluate", *trained, *flags["evaluation"])
    step("diagnose", *trained, *flags["findings"])
    pages = ["--report", f"{place}/report.html", "--summary", f"{place}/summary.md", "--run-name", "by-hand"]
    step("report", *trained, *flags["evaluation"], *flags["findings"], *pages)


def test_steps_chained_by_hand_make_what_the_pipeline_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "by hand"

    def here(name: str, *arguments: str) -> dict[str, float]:
        """The same in this process, which saves each step its imports."""
        importlib.import_module(f"components.{name}.__main__").main(["--config", TINY, *arguments])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    chain(str(place), here)
    producers = {
        "dataset": "prepare_data",
        "model": "train",
        "evaluation": "evaluate",
        "findings": "diagnose",
    }
    for name, producer in producers.items():
        assert open_artifact(place / name, producer=producer).producer == producer
    assert "by-hand" in (place / "report.html").read_text(encoding="utf-8")
    assert (place / "summary.md").exists()


@pytest.mark.s3
def test_steps_chained_through_an_object_store_need_no_shared_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_store(tmp_path / "objects", "mlpipeline", monkeypatch):
        chain("s3://mlpipeline/chain", as_command)
        store = open_store("s3://mlpipeline/chain")
        keys = set(store.keys())
        assert {f"{name}/manifest.json" for name in ("dataset", "model", "evaluation", "findings")} <= keys
        assert {"model/best/model.safetensors", "report.html", "summary.md"} <= keys
        assert b"</html>" in store.read("report.html")
