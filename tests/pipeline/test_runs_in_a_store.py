"""What ``runs`` says of runs in a store is what it says of the same runs in a folder; and of a cluster's artifacts."""

import html
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.artifacts import content_digest, read_json, sha256_of
from model_core.store.local import LocalStore
from pipelines.__main__ import main
from pipelines.review.cluster import ClusterRuns
from pipelines.review.publishing import publish
from pipelines.store import running_server
from tests.evaluation.small_run import small_run
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.hostile_s3 import HostileS3, serving

SHELF = "s3://bucket/team one/runs"
"""With a blank, as some have."""
FILES = ("report.html", "summary.md", "settings.yaml")


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    with serving(HostileS3(), monkeypatch) as server:
        yield server


@pytest.fixture(name="runs")
def _runs(tmp_path: Path, server: HostileS3) -> Path:
    """Two runs that are the small run with other settings, and a failed one; all of them are published."""
    runs = tmp_path / "runs"
    for number, name in enumerate(("one", "other")):
        for kind, folder in small_run().items():
            shutil.copytree(folder, runs / name / kind)
        for file in FILES:
            (runs / name / file).write_text(f"{file} of {name}", encoding="utf-8")
        artifacts = {kind: kind for kind in ("model", "evaluation", "findings")}
        write_record(runs, synthetic_record(number, name=name, artifacts=artifacts))
    write_record(
        runs, synthetic_record(9, name="failed", status="failed", failed_step="train", headline=None)
    )
    for name in ("one", "other", "failed"):
        publish(runs, name, SHELF)
    return runs


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["runs", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["list"], ["show", "one"], ["show", "failed"], ["compare", "one", "other"], ["list", "--json"]]
)
def test_a_store_says_what_the_folder_says(
    words: list[str], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_folder = said(capsys, *words, "--runs", str(runs))
    of_store = said(capsys, *words, "--runs", SHELF)
    if "--json" in words:
        folder, store = json.loads(of_folder)["runs"], json.loads(of_store)["runs"]
        for one, other in zip(folder, store, strict=True):
            assert {key for key in one if one[key] != other[key]} <= {
                "artifacts", "files", "published_at", "sha256"
            }  # fmt: skip
            assert all(path.startswith(f"{SHELF}/{one['name']}") for path in other["artifacts"].values())
    else:
        assert of_store.replace(SHELF, str(runs)).splitlines()[:12] == of_folder.splitlines()[:12]


def test_a_list_asks_for_the_index_only(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.requests[:]
    said(capsys, "list", "--runs", SHELF)
    read = [path for path, _ in server.requests if "list-type" not in path]
    assert len(read) == 3
    assert all("/.index/" in path for path in read)


def test_a_run_is_downloaded_with_every_file_checked_and_a_flipped_bit_leaves_nothing(
    runs: Path, server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "download", "one", str(tmp_path / "copy"), "--runs", SHELF)
    for path in (tmp_path / "copy").rglob("*.*"):
        if path.is_file():
            assert sha256_of(path) == sha256_of(runs / "one" / path.relative_to(tmp_path / "copy"))
    assert (tmp_path / "copy/model/best").is_dir()
    key = "team one/runs/one/evaluation/scores.json"
    server.objects[key] = bytes([server.objects[key][0] ^ 1]) + server.objects[key][1:]
    assert (
        main(
            ["runs", "download", "one", str(tmp_path / "bad"), "--runs", SHELF, "--only", "evaluation/*.json"]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{SHELF}/one/evaluation/scores.json was changed" in error
    assert not (tmp_path / "bad/evaluation/scores.json").exists()


def test_a_report_of_a_store_is_opened_where_it_lasts(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    page = Path(json.loads(said(capsys, "open", "one", "--runs", SHELF, "--json"))["report"])
    assert page.read_text(encoding="utf-8") == "report.html of one"
    assert shown == [page.resolve().as_uri()]
    assert main(["runs", "open", "failed", "--runs", SHELF]) == 2


def test_a_site_of_a_store_is_made_like_one_of_a_folder_and_only_what_changed_again(
    runs: Path, server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    line = ["site", str(out), "--runs", SHELF, "--compare", "one,other"]
    assert said(capsys, *line).endswith("3 runs written\n")
    page = (out / "run/one/index.html").read_text(encoding="utf-8")
    assert "Loss by epoch" in page
    assert "runs open one --runs &#39;s3://bucket/team one/runs&#39;" in page
    assert (out / "compare/one+other.html").is_file()
    for path in out.rglob("*.html"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
        assert "/pgat-" not in path.read_text(encoding="utf-8")
    del server.requests[:]
    assert said(capsys, "site", str(out), "--runs", SHELF).endswith("0 runs written\n")
    assert not any("/one/" in path for path, _ in server.requests)
    publish(runs, "failed", SHELF)
    assert said(capsys, "site", str(out), "--runs", SHELF).endswith("1 run written\n")


def test_a_deleted_run_is_gone_from_the_store_and_from_its_lists(
    runs: Path, server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "delete", "one", "--runs", SHELF).startswith("deleted one: ")
    assert not any("/one/" in key for key in server.objects)
    listed = said(capsys, "list", "--runs", SHELF)
    assert "other" in listed
    assert "\none " not in listed
    publish(runs, "one", str(tmp_path / "shelf"))
    said(capsys, "delete", "one", "--runs", str(tmp_path / "shelf"))
    assert "./one/" not in (tmp_path / "shelf/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nothing"], ["compare", "one", "nothing"], ["download", "nothing", "copy"], ["open", "nothing"],
        ["delete", "nothing"], ["site", "out", "--compare", "one,nothing"], ["show", "../one"], ["serve"],
        ["publish", "one", "s3://bucket/x"],
    ],
)  # fmt: skip
def test_what_is_not_there_or_cannot_be_is_one_sentence_that_names_the_store(
    words: list[str],
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["runs", *words, "--runs", SHELF]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert SHELF in error
    assert "/pgat-" not in error
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_record_stops_its_own_run_only(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    server.objects["team one/runs/one/run.json"] = b"{"
    assert main(["runs", "show", "one", "--runs", SHELF]) == 2
    assert "one/run.json in s3://bucket/team one/runs is not the record of a run" in capsys.readouterr().err
    assert "other" in said(capsys, "show", "other", "--runs", SHELF)
    assert "\none " in said(capsys, "list", "--runs", SHELF)


ROOT = "v2/artifacts/celestial-training-pipeline"
RUN = "3f2c8a54-0000-4000-8000-000000000001"


def of_cluster(server: HostileS3, salt: str = "salt/", run: str = RUN) -> None:
    """Lay the small run's artifacts out as Kubeflow does."""
    for kind, task in (
        ("dataset", "prepare-data"), ("model", "train"), ("evaluation", "evaluate"), ("findings", "diagnose"),
    ):  # fmt: skip
        folder = small_run()[kind]
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{ROOT}/{run}/{task}/{salt}{kind}/{path.relative_to(folder).as_posix()}"
                server.objects[key] = path.read_bytes()
    server.objects[f"{ROOT}/{run}/report/{salt}report"] = b"<html>the page</html>"
    server.objects[f"{ROOT}/{run}/report/{salt}summary"] = b"# summary"
    server.objects[f"{ROOT}/{run}/report/{salt}executor-logs"] = b"log"


@pytest.mark.parametrize("salt", ["salt/", ""])
@pytest.mark.parametrize("root", ["v2/artifacts", ROOT, f"{ROOT}/{RUN}"])
def test_a_clusters_run_is_read_by_its_pipeline_root(
    salt: str, root: str, server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_cluster(server, salt)
    uri = f"s3://bucket/{root}"
    (run,) = json.loads(said(capsys, "list", "--runs", uri, "--json"))["runs"]
    assert (run["name"], run["status"]) == (RUN, "succeeded")
    assert run["headline"]["windows"] == read_json(small_run()["evaluation"] / "scores.json")["windows"]
    assert run["settings"]["model"] == read_json(small_run()["model"] / "manifest.json")["settings"]["model"]  # type: ignore[index]
    shown = said(capsys, "show", RUN, "--runs", uri)
    assert "test windows" in shown
    assert f"{uri}/{RUN}/evaluation" in shown
    said(capsys, "download", RUN, str(tmp_path / "copy"), "--runs", uri)
    for kind in ("dataset", "model", "evaluation", "findings"):
        assert files_in(tmp_path / "copy" / kind) == files_in(small_run()[kind])


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_two_runs_of_a_cluster_are_compared_and_opened_and_the_later_of_two_tries_counts(
    server: HostileS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = RUN[:-1] + "2"
    for run in (RUN, second):
        of_cluster(server, run=run)
    # Earlier tries at a step: one left a whole folder, one a damaged one.
    manifest = read_json(small_run()["evaluation"] / "manifest.json") | {
        "created_at": "2001-01-01T00:00:00+00:00"
    }
    manifest["sha256"] = content_digest({key: value for key, value in manifest.items() if key != "sha256"})
    for salt, text in (("a-whole", json.dumps(manifest)), ("z-half", "{")):
        server.objects[f"{ROOT}/{RUN}/evaluate/{salt}/evaluation/manifest.json"] = text.encode()
        server.objects[f"{ROOT}/{RUN}/evaluate/{salt}/evaluation/scores.json"] = b"{}"
    uri = f"s3://bucket/{ROOT}"
    compared = said(capsys, "compare", RUN, second, "--runs", uri)
    assert "the settings are the same" in compared
    assert "windows that both scored" in compared
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    page = Path(said(capsys, "open", RUN, "--runs", uri).strip())
    assert page.read_text(encoding="utf-8") == "<html>the page</html>"
    said(capsys, "site", str(tmp_path / "site"), "--runs", uri, "--compare", f"{RUN},{second}")
    assert main(["runs", "delete", RUN, "--runs", uri]) == 2
    assert "Kubeflow still lists" in capsys.readouterr().err
    assert f"{ROOT}/{RUN}/report/salt/report" in server.objects


def test_a_clusters_run_without_its_end_is_unfinished_and_a_flipped_file_is_named(
    server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_cluster(server)
    key = f"{ROOT}/{RUN}/evaluate/salt/evaluation/predictions.parquet"
    server.objects[key] = server.objects[key][:-1]
    uri = f"s3://bucket/{ROOT}"
    assert main(["runs", "download", RUN, str(tmp_path / "copy"), "--runs", uri]) == 2
    assert "predictions.parquet was changed" in capsys.readouterr().err
    for each in [key for key in server.objects if "/diagnose/" in key]:
        del server.objects[each]
    assert "unfinished" in said(capsys, "list", "--runs", uri)


def test_a_clusters_run_that_lacks_a_file_of_its_scores_is_shown_without_them_and_the_file_named(
    server: HostileS3, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    of_cluster(server)
    del server.objects[f"{ROOT}/{RUN}/evaluate/salt/evaluation/scores.json"]
    assert main(["runs", "list", "--runs", f"s3://bucket/{ROOT}"]) == 0
    assert RUN in capsys.readouterr().out
    assert f"the run {RUN} is shown without its scores: evaluation/scores.json is missing" in caplog.text


def test_a_folder_of_published_runs_is_a_folder_of_runs(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(runs, "one", str(tmp_path / "shelf"))
    assert "one" in said(capsys, "show", "one", "--runs", str(tmp_path / "shelf"))
    said(capsys, "download", "one", str(tmp_path / "copy"), "--runs", str(tmp_path / "shelf"))
    assert (tmp_path / "copy/evaluation/scores.json").is_file()


def test_a_damaged_run_of_a_store_is_named_and_the_site_has_it_and_the_others(
    runs: Path,
    server: HostileS3,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.objects["team one/runs/one/run.json"] = b"{"
    del server.objects["team one/runs/other/model/results.json"]
    out = tmp_path / "site"
    assert said(capsys, "site", str(out), "--runs", SHELF).endswith("3 runs written\n")
    assert {path.parent.name for path in out.glob("run/*/index.html")} == {"one", "other", "failed"}
    assert "one/run.json in s3://bucket/team one/runs is not the record of a run" in caplog.text
    assert "other/model/results.json is not in" in caplog.text


@pytest.mark.parametrize("name", ["___", "index.html", "..."])
def test_what_no_run_can_be_called_is_no_run_of_a_cluster(name: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "root")
    store.write(f"pipeline/{name}/train/1/model/manifest.json", b"{}")
    assert ClusterRuns(store, tmp_path / "fetched").stamped() == []
    assert not (tmp_path / "fetched").exists()


def test_a_site_goes_to_a_store_and_only_what_changed_again(
    runs: Path, server: HostileS3, capsys: pytest.CaptureFixture[str]
) -> None:
    site = "s3://bucket/team one/site"
    line = ["site", site, "--runs", SHELF, "--compare", "one,other"]
    assert said(capsys, *line) == f"{site}/index.html: 3 runs written\n"
    pages = {key for key in server.objects if "/site/" in key}
    names = ("index.html", "run/one/index.html", "compare/one+other.html", "site.json")
    assert {f"team one/site/{name}" for name in names} <= pages
    sent: list[str] = []
    server.on_put = lambda key: sent.append(key.removeprefix("team one/site/"))
    assert said(capsys, "site", site, "--runs", SHELF).endswith("0 runs written\n")
    assert sent == []
    main(["runs", "delete", "one", "--runs", SHELF])
    del sent[:]
    said(capsys, "site", site, "--runs", SHELF)
    assert sent == ["index.html", "site.json"]
    assert not any("/site/run/one/" in key for key in server.objects)


@pytest.mark.parametrize("out", [SHELF, "s3://bucket/other", "s3:/bucket/site", "s3://bucket/a//b"])
def test_a_site_goes_to_no_place_of_something_else(
    out: str,
    runs: Path,
    server: HostileS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    server.objects["other/notes.txt"] = b"somebody's"
    before = dict(server.objects), sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert main(["runs", "site", out, "--runs", SHELF]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (server.objects, sorted(tmp_path.iterdir())) == before


ODD = ["a#b", "a?b=c", "with blank", "größe/ключ", "50%20off", "plus+sign", "a&b;c"]


@pytest.mark.parametrize("prefix", ODD)
def test_runs_below_an_odd_prefix_are_told_apart_from_every_other(
    prefix: str, server: HostileS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go_through(prefix, "bucket", tmp_path, capsys)
    assert all(key.startswith(f"{prefix}/runs/") for key in server.objects)


@pytest.mark.s3
@pytest.mark.slow
def test_a_real_server_keeps_odd_prefixes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "objects", "shelf") as (server, _):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for number, prefix in enumerate(ODD):
            (tmp_path / str(number)).mkdir()
            go_through(prefix, "shelf", tmp_path / str(number), capsys)


def go_through(prefix: str, bucket: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Publish two runs below the prefix, read one, delete the other."""
    shelf = f"s3://{bucket}/{prefix}/runs"
    for number, name in enumerate(("kept", "gone")):
        write_record(folder / "runs", synthetic_record(number, name=name))
        (folder / "runs" / name / "report.html").write_text(f"{name} below {prefix}", encoding="utf-8")
        said(capsys, "publish", name, shelf, "--runs", str(folder / "runs"))
    assert len(said(capsys, "list", "--runs", shelf).splitlines()) == 3
    said(capsys, "download", "kept", str(folder / "copy"), "--runs", shelf)
    assert (folder / "copy/report.html").read_text(encoding="utf-8") == f"kept below {prefix}"
    said(capsys, "site", str(folder / "site"), "--runs", shelf)
    page = (folder / "site/run/kept/index.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"To copy them: <code>([^<]*)</code>", page)
    words = shlex.split(html.unescape(command).replace("FOLDER", str(folder / "again")))
    assert main(words[words.index("runs") :]) == 0
    assert (folder / "again/report.html").is_file()
    said(capsys, "delete", "gone", "--runs", shelf)
    assert len(said(capsys, "list", "--runs", shelf).splitlines()) == 2
