"""The five steps on the command line, one after another, with folders and with an object store."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from model_core.artifacts import open_artifact
from model_core.store.locate import open_store
from pipelines.store import running_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TINY = str(Path(__file__).parent / "tiny.yaml")
REPOSITORY = Path(__file__).parent.parent.parent


def step(name: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, float]:
    """The headline that ``python -m components.<name>`` prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"components.{name}", "--config", TINY, *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def chain(place: str, env: Mapping[str, str] | None = None) -> None:
    places = {name: f"{place}/{name}" for name in ("dataset", "model", "evaluation", "findings")}
    flags = {name: [f"--{name}", uri] for name, uri in places.items()}
    trained = [*flags["dataset"], *flags["model"]]
    step("prepare_data", "--source", "sample://synthetic", *flags["dataset"], env=env)
    assert step("train", *trained, env=env)["best_epoch"] == 1
    step("evaluate", *trained, *flags["evaluation"], env=env)
    step("diagnose", *trained, *flags["findings"], env=env)
    pages = ["--report", f"{place}/report.html", "--summary", f"{place}/summary.md", "--run-name", "by-hand"]
    step("report", *trained, *flags["evaluation"], *flags["findings"], *pages, env=env)


def test_steps_chained_by_hand_make_what_the_pipeline_makes(tmp_path: Path) -> None:
    place = tmp_path / "by hand"
    chain(str(place))
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
    with running_server(tmp_path / "objects", "mlpipeline") as (server, _):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        chain("s3://mlpipeline/chain")
        store = open_store("s3://mlpipeline/chain")
        keys = set(store.keys())
        assert {f"{name}/manifest.json" for name in ("dataset", "model", "evaluation", "findings")} <= keys
        assert {"model/best/model.safetensors", "report.html", "summary.md"} <= keys
        assert b"</html>" in store.read("report.html")
