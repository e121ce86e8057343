"""Outputs that go to an object store: tried before the work, never lost after it, and sent by the same command."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.outbox import outbox
from components.steps import STEPS
from model_core.artifacts import sha256_of, write_manifest
from model_core.errors import StoreError, StoreTimeoutError
from model_core.store import client
from model_core.store.locate import open_store
from model_core.store.pace import PacedRetry
from model_core.variables import LIMITS
from tests.faults.steps import do, output_of, words
from tests.security.hostile_s3 import HostileS3

pytestmark = pytest.mark.usefixtures("unprinted")


def run(step: str, words: list[str]) -> int:
    """The command in this process; its exit code."""
    try:
        do(step, words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture(name="state")
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where unfinished work is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "celestial-enhanced-pgat"


@pytest.mark.parametrize("step", STEPS)
def test_a_store_that_cannot_be_written_is_refused_before_the_work(
    step: str, s3: HostileS3, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The inputs do not even exist: that is not looked at."""
    s3.refusing = {"": 403}
    assert run(step, words(step, tmp_path / "none", "s3://bucket")) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: cannot write {output_of(step)}.writable in s3://bucket: ")
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not state.exists()


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("prepare_data", 403),
        ("train", 403),
        ("train", 503),
        ("train", 0),
        ("evaluate", 403),
        ("diagnose", 403),
        ("report", 403),
    ],
)
def test_what_was_made_and_not_taken_is_named_and_the_same_command_only_sends_it(
    step: str,
    status: int,
    made: Path,
    s3: HostileS3,
    state: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beside it can be written, so the try before the work finds nothing; status 0 hangs up."""
    s3.refusing = {"summary.md" if step == "report" else f"{output_of(step)}/": status}
    command = words(step, made, "s3://bucket")
    assert run(step, command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    caplog.clear()
    assert error.startswith("error: what was made for s3://bucket/")
    assert error.endswith(", and the same command sends it without making it again")
    kept = Path(error.partition("it is complete in ")[2].partition(", and the same")[0])
    assert kept.is_relative_to(state)
    files = [kept] if kept.is_file() else [path for path in kept.rglob("*") if path.is_file()]
    content = {path.relative_to(kept.parent).as_posix(): path.read_bytes() for path in files}
    assert content
    assert f"{output_of(step)}/manifest.json" not in s3.objects

    s3.refusing = {}
    assert run(step, command) == 0
    assert caplog.messages[-1].startswith("already made, only to be sent: s3://bucket/")
    assert {key: s3.objects[key] for key in content} == content
    assert not state.exists()


def test_a_result_of_other_settings_or_a_damaged_one_is_not_sent(
    made: Path, s3: HostileS3, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    s3.refusing = {"evaluation/": 403}
    command = words("evaluate", made, "s3://bucket")
    assert run("evaluate", command) == 1
    s3.refusing = {}
    assert run("evaluate", [*command, "--set", "evaluation.batch_size=8"]) == 0
    assert "only to be sent" not in caplog.text
    assert "holds an earlier result for s3://bucket/evaluation that was never sent; delete it" in caplog.text
    assert b'"batch_size": 8' in s3.objects["evaluation/manifest.json"]

    (scores,) = state.glob("*/*/0/evaluation/scores.json")
    scores.write_bytes(scores.read_bytes().replace(b"0.", b"1.", 1))
    assert run("evaluate", command) == 0
    assert "is damaged and will be made again" in caplog.text
    assert s3.objects["evaluation/scores.json"] == (made / "evaluation" / "scores.json").read_bytes()
    assert not state.exists()


def test_a_result_is_made_again_when_an_input_has_changed_under_the_same_name(
    made: Path, s3: HostileS3, state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("dataset", "model"):
        shutil.copytree(made / name, tmp_path / name)
    s3.refusing = {"evaluation/": 403}
    command = words("evaluate", tmp_path, "s3://bucket")
    assert run("evaluate", command) == 1
    s3.refusing = {}
    write_manifest(
        tmp_path / "model", producer="train", settings={}, inputs={"dataset": tmp_path / "dataset"}
    )
    assert run("evaluate", command) == 0
    assert "only to be sent" not in caplog.text
    sent = json.loads(s3.objects["evaluation/manifest.json"])
    assert sent["inputs"]["model"] == sha256_of(tmp_path / "model" / "manifest.json")


@pytest.mark.parametrize("place", ["folder", "store"])
def test_a_page_that_cannot_be_published_is_whole_and_the_same_command_publishes_it(
    place: str,
    made: Path,
    s3: HostileS3,
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs = "s3://bucket" if place == "store" else str(tmp_path / "out")
    command = [*words("report", made, outputs), "--publish-uri", "s3://bucket/pages"]
    s3.refusing = {"pages/x/": 403}
    assert run("report", command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        "error: the page could not be published: cannot write x/report.html in s3://bucket/pages: "
    )
    assert error.endswith(f"; it is complete in {outputs}/report.html, and the same command publishes it")
    pages = [s3.objects.get("report.html"), *map(Path.read_bytes, (tmp_path).glob("out/report.html"))]
    assert [page for page in pages if page is not None and page.rstrip().endswith(b"</html>")]
    s3.refusing = {}
    assert run("report", command) == 0
    assert {"pages/x/report.html", "pages/x/run.json", "pages/index.html"} <= set(s3.objects)
    assert not state.exists()


def test_two_processes_do_not_make_the_same_outputs_at_once(s3: HostileS3, state: Path) -> None:
    with outbox(["s3://bucket/a"], lambda: "one"):
        with (
            pytest.raises(StoreError, match="another process makes s3://bucket/a"),
            outbox(["s3://bucket/a"], lambda: "two"),
        ):
            pass
        with outbox(["s3://bucket/b"], lambda: "two"):
            pass
    assert s3.objects == {}


def test_a_bucket_alone_is_no_place_for_an_output(state: Path) -> None:
    with (
        pytest.raises(StoreError, match="names a bucket only"),
        outbox(["s3://bucket/"], lambda: "request"),
    ):
        pass


def test_a_folder_that_others_can_change_holds_no_unfinished_work(s3: HostileS3, state: Path) -> None:
    state.mkdir(parents=True)
    state.chmod(0o777)
    with pytest.raises(StoreError, match="PGAT_WORK"), outbox(["s3://bucket/a"], lambda: "request"):
        pass


def test_where_nothing_lasts_a_temporary_folder_must_do(
    s3: HostileS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with outbox(["s3://bucket/a"], lambda: "request") as box:
        box.path_for("s3://bucket/a").parent.mkdir(parents=True)
        box.path_for("s3://bucket/a").write_bytes(b"made")
        box.finished({})
        box.send()
    assert s3.objects == {"a": b"made"}
    assert "set PGAT_WORK to a folder that lasts" in caplog.text


def test_where_nothing_can_be_kept_at_all_the_variable_is_named_before_the_work(
    s3: HostileS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="set PGAT_WORK to a folder"), outbox(["s3://bucket/a"], lambda: ""):
        pass


def test_a_store_that_is_not_there_is_not_called_slow(s3: HostileS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """``urllib3`` counts a refused connection among those that took too long."""
    monkeypatch.setattr(client, "_RETRIES", PacedRetry(total=0))
    with HostileS3() as closed:
        monkeypatch.setenv("AWS_ENDPOINT_URL", closed.url)
    with pytest.raises(StoreError, match=r"no connection \(.*refused\); check AWS_ENDPOINT_URL") as caught:
        open_store("s3://bucket").read("a")
    assert not isinstance(caught.value, StoreTimeoutError)


@pytest.mark.parametrize("seconds", ["1e300", "1e12"])
def test_limits_beyond_what_a_socket_takes_are_as_none(
    seconds: str, s3: HostileS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("connect_seconds", "read_seconds", "total_seconds")
    monkeypatch.setenv(LIMITS, json.dumps(dict.fromkeys(names, float(seconds))))
    s3.objects["a"] = b"content"
    assert open_store("s3://bucket").read("a") == b"content"


def test_a_training_that_replaces_another_in_a_store_leaves_nothing_of_it_and_nobody_elses_files_alone(
    made: Path, s3: HostileS3, state: Path, tmp_path: Path
) -> None:
    """What TensorBoard reads there is the new training, each step once."""
    for seed in (1, 2):
        more = ["--set", "training.tensorboard=true", "--set", f"training.seed={seed}"]
        assert run("train", [*words("train", made, "s3://bucket"), *more]) == 0
        s3.objects.setdefault("model/notes.txt", b"somebody's")
    manifest = json.loads(s3.objects["model/manifest.json"])
    assert manifest["seed"] == 2
    there = {key.removeprefix("model/") for key in s3.objects if key.startswith("model/")}
    assert there == {*manifest["files"], "manifest.json", "notes.txt"}
    for key in there:
        if key.startswith("tensorboard/"):
            (tmp_path / key).parent.mkdir(exist_ok=True)
            (tmp_path / key).write_bytes(s3.objects[f"model/{key}"])
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    steps = [event.step for event in board.Scalars("step/total")]
    assert steps == sorted(set(steps))


def test_what_lies_beside_an_input_is_not_fetched(made: Path, s3: HostileS3, state: Path) -> None:
    """An older training may have left it there."""
    for name in ("dataset", "model"):
        for path in (made / name).rglob("*"):
            if path.is_file():
                s3.objects[f"{name}/{path.relative_to(made / name).as_posix()}"] = path.read_bytes()
    s3.objects["model/best/member-2/model.safetensors"] = b"of another training"
    assert run("evaluate", words("evaluate", "s3://bucket", "s3://bucket")) == 0
    assert any(path.endswith("/model/best/model.safetensors") for path, _ in s3.requests)
    assert not any("member-2" in path for path, _ in s3.requests)


def test_a_damaged_manifest_of_what_is_replaced_deletes_nothing(
    made: Path, s3: HostileS3, state: Path
) -> None:
    s3.objects |= {
        "evaluation/manifest.json": b'{"schema_version": 2, "files": {"notes.txt": {}}, "sha256": "0"}',
        "evaluation/notes.txt": b"somebody's",
    }
    assert run("evaluate", words("evaluate", made, "s3://bucket")) == 0
    assert s3.objects["evaluation/notes.txt"] == b"somebody's"
