"""Whatever became of a run on a cluster, its end is told: a page that says so, a record, and word to a webhook."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from kfp import local
from kfp.dsl.executor import Executor
from kfp.dsl.types import artifact_types

from components.entry_points import kfp_entry_point
from components.finish.__main__ import main
from components.finish.component import finish
from components.finish.ending import end_of, told_steps
from components.finish.webhook import checked_webhook
from components.notes import State, StepNote, read_notes
from components.steps import STEPS
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import InvariantError, TrainingError, UserError
from model_core.publishing.publish import publish_run
from model_core.publishing.record import ListedFile, record_in
from model_core.results.run import RunRecord
from model_core.store.locate import open_store
from model_core.variables import STEP_NOTES, WEBHOOK
from pipelines.compile import cluster_pipeline
from pipelines.pods.profiles import load_pods
from pipelines.resources import Cluster
from pipelines.store import running_server
from pipelines.training import settings_parameters
from tests.serving import answering

TINY = str(Path(__file__).parent / "tiny.yaml")
ROOT = "mlpipeline/v2/artifacts/celestial-training-pipeline/0b7c"
"""Where KFP keeps the artifacts of one run."""


class Metrics:
    """What KFP hands to a step to write its headline numbers to."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri, self.path = uri, str(path)

    def log_metric(self, metric: str, value: float) -> None:
        """KFP's own business."""


def note(state: State, **more: Any) -> StepNote:
    return StepNote(state=state, began_at=datetime(2026, 1, 1, tzinfo=UTC), **more)


DONE = {step: note("ended", seconds=3.0) for step in STEPS}


# --- how it ended -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "notes", "status", "step"),
    [
        ("COMPLETE", DONE, "succeeded", None),
        ("SUCCEEDED", {}, "succeeded", None),
        ("FAILED", DONE | {"report": note("failed", reason="red")}, "failed", "report"),
        # A pod that was killed has told KFP nothing, and the state of all steps together is what it was.
        ("RUNNING", {"prepare_data": DONE["train"], "train": note("began")}, "failed", "train"),
        ("FAILED", {"prepare_data": DONE["train"]}, "failed", None),
        ("FAILED", {}, "failed", None),
        ("RUNNING", {}, "failed", None),
        # KFP had no time yet to take notice of the last step.
        ("RUNNING", DONE, "succeeded", None),
        ("CANCELED", {"train": note("began")}, "stopped", "train"),
    ],
)
def test_a_run_ends_as_its_state_and_the_notes_of_its_steps_say(
    state: str, notes: dict[str, StepNote], status: str, step: str | None
) -> None:
    end = end_of(state, "", notes)
    assert (end.status, end.step) == (status, step)
    assert bool(end.reason) == (status != "succeeded")


def test_a_step_that_nobody_noted_was_reused_if_the_run_succeeded_and_may_not_have_begun_if_it_failed() -> (
    None
):
    only_last = {"report": note("failed", reason="red")}
    assert told_steps(only_last, "failed")["train"] == "reused, or not begun"
    assert told_steps({"train": note("began")}, "failed") == {
        "prepare_data": "reused, or not begun",
        "train": "not finished",
        **dict.fromkeys(("evaluate", "diagnose", "report"), "not run"),
    }
    assert told_steps({"report": DONE["report"]}, "succeeded")["train"] == "reused"


# --- what a step notes --------------------------------------------------------------------------------------


def step_fails(root: str, folder: Path, error: Exception, left: dict[str, str] | None = None) -> None:
    metrics = Metrics(f"{root}/train/44/metrics", folder / "metrics")
    with kfp_entry_point(metrics, left):
        logging.getLogger("pgat.train").info("epoch 1")
        raise error


def test_a_step_notes_why_it_failed_what_it_said_last_and_what_it_had_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    (tmp_path / "page").write_text("red", encoding="utf-8")
    left = {"report.html": str(tmp_path / "page"), "summary.md": str(tmp_path / "none")}
    with pytest.raises(SystemExit):
        step_fails(str(tmp_path / "run"), tmp_path, TrainingError("the loss is NaN; lower the rate"), left)
    store = open_store(str(tmp_path / "run/notes"))
    found = read_notes(store)["train"]
    assert (found.state, found.reason) == ("failed", "the loss is NaN; lower the rate")
    assert found.last_lines == ("epoch 1",)
    assert list(store.keys()) == ["report.html", "train.json"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="asks Linux for a file that cannot be read")
def test_a_step_whose_files_cannot_be_read_fails_for_its_own_reason_and_notes_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    left = {"report.html": "/proc/self/mem"}  # a regular file whose first byte no process may read
    with pytest.raises(SystemExit):
        step_fails(str(tmp_path / "run"), tmp_path, TrainingError("the loss is NaN; lower the rate"), left)
    store = open_store(str(tmp_path / "run/notes"))
    assert read_notes(store)["train"].reason == "the loss is NaN; lower the rate"
    assert list(store.keys()) == ["train.json"]
    assert any("is not kept beside the notes" in record.getMessage() for record in caplog.records)


def test_a_bug_leaves_the_end_of_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    with pytest.raises(ZeroDivisionError):
        step_fails(str(tmp_path / "run"), tmp_path, ZeroDivisionError("by zero"))
    found = read_notes(open_store(str(tmp_path / "run/notes")))["train"]
    assert found.reason == "ZeroDivisionError: by zero"
    assert found.last_lines[-1] == "ZeroDivisionError: by zero"


def test_a_step_without_keys_says_that_it_noted_nothing_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with kfp_entry_point(Metrics(f"minio://{ROOT}/train/44/metrics", tmp_path / "metrics")) as headline:
        headline["epochs"] = 1.0
    assert (tmp_path / "metrics").exists()
    told = [record.getMessage() for record in caplog.records if record.name == "pgat.notes"]
    assert len(told) == 1
    assert "is not noted" in told[0]
    assert "--secret" in told[0]


def test_a_step_that_is_not_asked_notes_nothing(tmp_path: Path) -> None:
    with kfp_entry_point(Metrics(str(tmp_path / "run/train/metrics"), tmp_path / "metrics")):
        pass
    assert not (tmp_path / "run").exists()


def test_what_is_no_note_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    began = '{"state": "ended", "began_at": "2026-03-01T12:00:00'
    damaged = {
        "prepare_data": f'{began}"}}',
        "train": "{",
        "evaluate": '{"state": "sleeping"}',
        "diagnose": f'{began}Z", "seconds": "Infinity"}}',
        "report": " " * 200_000,
        "register_model": "[]",
    }
    strays = {f"a{number}": f'{began}Z"}}' for number in range(200)}
    for name, content in (damaged | strays).items():
        (tmp_path / f"{name}.json").write_text(content, encoding="utf-8")
    assert read_notes(open_store(str(tmp_path))) == {}
    assert len(caplog.records) == len(damaged)
    (tmp_path / "train.json").write_text(f'{began}Z"}}', encoding="utf-8")
    assert list(read_notes(open_store(str(tmp_path)))) == ["train"]


def test_a_password_in_the_address_of_a_table_is_on_no_page_and_in_no_record(tmp_path: Path) -> None:
    """Parameters of a run may be typed by hand, and the step that refuses one is not the one that publishes."""
    words = by_hand(tmp_path, "FAILED", "--publish-uri", str(tmp_path / "shelf"))
    words[words.index("--source") + 1] = "s3://me:canary@market/prices.csv?key=canary"
    main(words)
    written = [tmp_path / "page.html", *(tmp_path / "shelf/mine").iterdir(), tmp_path / "shelf/index.html"]
    assert len(written) == 4
    for path in written:
        assert "canary" not in path.read_text(encoding="utf-8")
        assert "s3://…@market/prices.csv" in path.read_text(encoding="utf-8")


def test_an_endless_page_of_a_report_that_failed_is_named_and_the_end_told_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notes").mkdir()
    with (tmp_path / "notes/report.html").open("wb") as file:
        file.truncate(2**30)
    main(by_hand(tmp_path, "FAILED", "--notes", str(tmp_path / "notes")))
    assert "RUN FAILED" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "cannot read report.html" in caplog.text


# --- as KFP runs it, with a store that asks for keys --------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_server(tmp_path_factory.mktemp("objects"), "mlpipeline") as (server, _):
        before = dict(os.environ)
        os.environ.update(server.environment())
        yield
        os.environ.clear()
        os.environ.update(before)


def finished(
    folder: Path, state: str, monkeypatch: pytest.MonkeyPatch, root: str = ROOT, **parameters: Any
) -> str:
    """Run the exit handler as KFP's executor does with what its driver gives; returns its page."""
    monkeypatch.setattr(artifact_types, "_MINIO_LOCAL_MOUNT_PREFIX", f"{folder}/minio/")
    given = {
        "status": {
            "state": state,
            "pipelineJobResourceName": "celestial-training-pipeline-x7k2p",
            "pipelineTaskName": "exit-handler-1",
            "error": {},
        },
        "source": "s3://market/nasdaq.csv",
        "run_name": "",
        "run_called": "0B7C",
        "code_version": "v",
        **settings_parameters(Settings()),
        **parameters,
    }
    page = f"minio://{root}/finish/91/page"
    artifact = {"name": "page", "type": {"schemaTitle": "system.HTML"}, "uri": page}
    executor_input = {
        "inputs": {"parameterValues": given},
        "outputs": {
            "artifacts": {"page": {"artifacts": [artifact]}},
            "outputFile": str(folder / "output.json"),
        },
    }
    Executor(executor_input=executor_input, function_to_execute=finish.python_func).execute()
    path = folder / "minio" / page.removeprefix("minio://")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def publish(folder: Path, uri: str, name: str, page: bytes, **more: Any) -> None:
    path = folder / "report.html"
    path.write_bytes(page)
    fields = {
        "name": name,
        "source": "t.csv",
        "started_at": "2026-01-01T00:00:00+00:00",
        "status": "succeeded",
    }
    record = RunRecord.model_validate(fields | {"code_version": "v", "settings": {}} | more)
    listed = ListedFile(path.name, path, len(page), hashlib.sha256(page).hexdigest())
    publish_run(uri, record, [listed])


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_failed_step_ends_with_a_published_page_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "train")
    with pytest.raises(SystemExit):
        step_fails(f"minio://{ROOT}", tmp_path, TrainingError("the loss is <NaN>; lower the rate"))
    store = open_store("s3://mlpipeline/reports")
    publish(tmp_path, "s3://mlpipeline/reports", "0b7c", b"of an earlier run of that name")
    page = finished(tmp_path, "FAILED", monkeypatch, publish_uri="s3://mlpipeline/reports")
    assert "RUN FAILED in the step train" in page
    assert "the loss is &lt;NaN&gt;; lower the rate" in page
    assert "celestial-training-pipeline-x7k2p" in page
    assert "epoch 1" in page
    assert store.read("0b7c/report.html").decode() == page
    record = record_in(store, "0b7c")
    assert record is not None
    assert (record.status, record.failed_step) == ("failed", "train")
    assert record.reason == "the loss is <NaN>; lower the rate"
    assert record.settings == Settings().model_dump(mode="json")
    assert (list(record.files), record.headline) == (["report.html"], None)
    assert b"<td>failed</td>" in store.read("index.html")


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_failed_invariant_ends_with_the_red_page_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_NOTES, "report")
    (tmp_path / "page").write_text("<p>INVARIANT FAILED</p>", encoding="utf-8")
    root = f"{ROOT}-red"
    metrics = Metrics(f"minio://{root}/report/45/metrics", tmp_path / "metrics")
    with pytest.raises(SystemExit), kfp_entry_point(metrics, {"report.html": str(tmp_path / "page")}):
        raise InvariantError("INVARIANT FAILED: candles; the page is complete and shows it")
    # The report had published what it found, as that of a run that succeeded.
    publish(tmp_path, "s3://mlpipeline/red", "named", b"<p>INVARIANT FAILED</p>", git_commit="abc")
    more = {"publish_uri": "s3://mlpipeline/red", "run_name": "named"}
    page = finished(tmp_path, "FAILED", monkeypatch, root, **more)
    assert page == "<p>INVARIANT FAILED</p>"
    store = open_store("s3://mlpipeline/red")
    assert store.read("named/report.html").decode() == page
    record = record_in(store, "named")
    assert record is not None
    assert (record.status, record.git_commit) == ("failed", "abc")
    assert record.reason.startswith("INVARIANT FAILED: candles")


def test_what_it_cannot_do_is_said_and_the_run_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    page = finished(tmp_path, "FAILED", monkeypatch, publish_uri="s3://mlpipeline/reports")
    assert "RUN FAILED" in page, "KFP keeps it even if nothing can be published"
    assert "--secret" in page
    told = capsys.readouterr().err
    assert told.count("error: ") == 1
    assert "the end of the run could not be told in full" in told
    assert "nothing could be published" in told


def test_not_even_a_bug_in_it_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(*given: object, **more: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("components.finish.step.run", bug)
    finished(tmp_path, "FAILED", monkeypatch)
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


# --- the webhook --------------------------------------------------------------------------------------------


class Room(HTTPServer):
    """Takes messages, and answers ``code``."""

    def __init__(self, code: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.code, self.got = code, list[dict[str, Any]]()


class Visitor(BaseHTTPRequestHandler):
    server: Room

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.code)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests are quiet."""


@contextmanager
def room(code: int = 200) -> Iterator[Room]:
    with answering(Room(code)) as server:
        yield server


def by_hand(folder: Path, state: str = "FAILED", *more: str) -> list[str]:
    (folder / "status.json").write_text(json.dumps({"state": state, "error": {}}), encoding="utf-8")
    words = ["--status", str(folder / "status.json"), "--source", "here/prices.csv", "--run-name", "mine"]
    return [*words, "--page", str(folder / "page.html"), *more]


def test_a_webhook_is_told_which_step_failed_and_why_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    (tmp_path / "notes").mkdir()
    failed = note("failed", reason="s3://user:pass@bucket said very-secret")
    (tmp_path / "notes/train.json").write_text(failed.model_dump_json(), encoding="utf-8")
    with room() as server:
        monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hidden")
        main(by_hand(tmp_path, "FAILED", "--notes", str(tmp_path / "notes"), "--publish-uri", str(tmp_path)))
    (message,) = server.got
    assert message["text"].startswith("mine failed in the step train: ")
    assert (message["run"], message["status"], message["failed_step"]) == ("mine", "failed", "train")
    assert message["source"] == "prices.csv"
    assert message["report"] == f"{tmp_path}/mine/report.html"
    assert not any(secret in json.dumps(message) for secret in ("very-secret", "pass@", "hidden"))


@pytest.mark.parametrize("code", [302, 404])
def test_a_webhook_that_does_not_take_it_is_said_after_all_else_is_done(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with room(code) as server:
        monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hidden")
        with pytest.raises(SystemExit) as ended:
            main(by_hand(tmp_path, "COMPLETE", "--publish-uri", str(tmp_path / "shelf")))
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"the host of {WEBHOOK} answered {code}" in told
    assert "hidden" not in told
    assert (tmp_path / "shelf/mine/run.json").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://chat.example/x",
        "http://chat.example\\@localhost/x",
        "chat.example",
        "ftp://chat.example",
        "https:///x",
        "https://a b/c",
        "https://chat.example:0/x",
    ],
)
def test_a_webhook_that_others_could_read_or_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_webhook(url)
    assert WEBHOOK in str(refused.value)
    assert url not in str(refused.value)


# --- by itself, and in kfp.local ----------------------------------------------------------------------------


def test_a_run_that_succeeded_has_a_record_and_a_page_that_points_to_its_report(tmp_path: Path) -> None:
    main(by_hand(tmp_path, "COMPLETE", "--publish-uri", str(tmp_path / "shelf")))
    assert "RUN SUCCEEDED" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "shelf/mine").iterdir()] == ["run.json"]


def test_of_what_the_report_published_of_a_run_that_succeeded_nothing_is_lost(tmp_path: Path) -> None:
    publish(tmp_path, str(tmp_path / "shelf"), "mine", b"the report", git_commit="abc")
    (tmp_path / "notes").mkdir()
    for step, noted in DONE.items():
        (tmp_path / f"notes/{step}.json").write_text(noted.model_dump_json(), encoding="utf-8")
    notes, shelf = str(tmp_path / "notes"), str(tmp_path / "shelf")
    main(by_hand(tmp_path, "COMPLETE", "--notes", notes, "--publish-uri", shelf))
    record = record_in(open_store(shelf), "mine")
    assert record is not None
    assert (record.status, list(record.files), record.git_commit) == ("succeeded", ["report.html"], "abc")
    assert record.step_seconds == dict.fromkeys(STEPS, 3.0)
    assert (tmp_path / "shelf/mine/report.html").read_bytes() == b"the report"


def test_a_registry_that_refuses_takes_nothing_from_a_report_that_is_published(tmp_path: Path) -> None:
    publish(tmp_path, str(tmp_path / "shelf"), "mine", b"the report", git_commit="abc")
    (tmp_path / "notes").mkdir()
    refused = note("failed", reason="the registry answered 403")
    for step, noted in (DONE | {"register_model": refused}).items():
        (tmp_path / f"notes/{step}.json").write_text(noted.model_dump_json(), encoding="utf-8")
    notes, shelf = str(tmp_path / "notes"), str(tmp_path / "shelf")
    main(by_hand(tmp_path, "FAILED", "--notes", notes, "--publish-uri", shelf))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "RUN FAILED in the step register_model" in page
    assert "Its report is whole" in page
    assert "no scores" not in page
    record = record_in(open_store(shelf), "mine")
    assert record is not None
    assert (record.status, record.failed_step, record.git_commit) == ("failed", "register_model", "abc")
    assert (tmp_path / "shelf/mine/report.html").read_bytes() == b"the report"


@pytest.mark.parametrize("content", ["", "[]", '{"error": {}}', "{" * 2000])
def test_a_status_that_is_none_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = by_hand(tmp_path)
    (tmp_path / "status.json").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "is not KFP's status of a run" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("kfps_own_runner")
def test_the_compiled_pipeline_tells_its_end_in_kfp_local_too(tmp_path: Path) -> None:
    """The table is not there, so the first step fails; kfp.local itself only knows that the group did."""
    settings = load_settings(TINY, [])
    pipeline = cluster_pipeline(
        settings, Cluster(tag="0123456", pods=load_pods(overrides=["all.retries=0"])), "v"
    )
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    with pytest.raises(RuntimeError):
        pipeline(source="nowhere.csv", publish_uri=str(tmp_path / "shelf"), run_name="far")
    page = (tmp_path / "shelf/far/report.html").read_text(encoding="utf-8")
    assert "RUN FAILED in the step prepare_data" in page
    assert "nowhere.csv" in page
    (run,) = (tmp_path / "root").iterdir()
    assert (run / "finish/page").read_text(encoding="utf-8") == page


def test_the_step_starts_no_torch_and_no_kfp() -> None:
    program = "import sys, components.finish.step; print([n for n in ('torch', 'kfp', 'jinja2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
