"""What a person reads names what he gave: a URI, not the temporary folder that stood in for it."""

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from components import cli
from components.outbox import outbox
from components.report.__main__ import main as report
from model_core.artifacts import open_artifact, staged_folder, write_json, write_manifest
from model_core.config.run import Settings
from model_core.errors import SourceError
from tests.security.hostile_s3 import HostileS3, serving


@pytest.fixture(name="bucket")
def _bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    """A store that holds the artifact ``s3://bucket/model``."""
    with staged_folder(tmp_path / "model") as staged:
        write_json(staged / "results.json", {"loss": 0.25})
        write_manifest(staged, producer="train", settings={})
    objects = {f"model/{path.name}": path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with serving(HostileS3(objects), monkeypatch) as server:
        yield server


def execute(run: cli.Run) -> None:
    cli.execute(cli.command("evaluate", "Score."), run, [])


def test_a_step_that_refuses_an_input_from_a_store_names_its_uri(
    bucket: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [f"--{name}=s3://bucket/model" for name in ("dataset", "model", "evaluation", "findings")]
    outputs = ["--report=s3://bucket/report.html", "--summary=s3://bucket/summary.md", "--run-name=x"]
    with pytest.raises(SystemExit) as ended:
        report([*inputs, *outputs])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: s3://bucket/model was made by the train step; give")


def test_a_damaged_file_of_an_input_from_a_store_is_named_by_its_uri(
    bucket: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.objects["model/results.json"] = b"{}"

    def run(given: Namespace, settings: Settings, files: cli.Files) -> Mapping[str, float]:
        open_artifact(files.input("s3://bucket/model/"), producer="train")
        return {}

    with pytest.raises(SystemExit):
        execute(run)
    assert capsys.readouterr().err == (
        "error: s3://bucket/model/results.json was changed after it was written; run the train step again\n"
    )


def test_logs_and_lists_of_details_name_the_uri_of_inputs_and_outputs(
    bucket: HostileS3, caplog: pytest.LogCaptureFixture
) -> None:
    def run(given: Namespace, settings: Settings, files: cli.Files) -> Mapping[str, float]:
        model, out = files.input("s3://bucket/model"), files.output("s3://bucket/out")
        logging.getLogger("pgat.test").warning("read %s, to write %s", model, out)
        raise SourceError("no", [f"{model}/best: no", f"{out}: no"])

    with (
        outbox(["s3://bucket/out"], lambda: "request") as box,
        cli.Files(box) as files,
        pytest.raises(SourceError) as refused,
        files.named_by_uri(),
    ):
        run(Namespace(), Settings(), files)
    assert refused.value.details == ("s3://bucket/model/best: no", "s3://bucket/out: no")
    assert caplog.messages == ["read s3://bucket/model, to write s3://bucket/out"]
