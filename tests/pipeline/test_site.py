"""The site of a folder of runs: what its pages say, what is written again, and that nothing in them is markup."""

import errno
import html
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.errors import ArtifactError, UserError
from model_core.results.skill import SkillInterval
from pipelines.__main__ import main
from pipelines.held import held_run
from pipelines.review.keeping import delete_run, download_run
from pipelines.site.build import build_site
from pipelines.site.drawing import Curve, bar, curves
from pipelines.site.serve import SiteServer
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.serving import answering

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four seeds of one configuration, and a failed run whose texts are markup."""
    for number in range(4):
        write_record(tmp_path / "runs", synthetic_record(number))
    failed = synthetic_record(9, name="failed", status="failed", failed_step="train", headline=None)
    failed = failed.model_copy(update={"reason": HOSTILE, "source": f"/home/x/{HOSTILE}.csv"})
    write_record(tmp_path / "runs", failed)
    return tmp_path / "runs"


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def columns(text: str) -> list[str]:
    return re.findall(r'data-key="([^"]*)"', text)


def test_the_index_has_a_column_for_each_setting_that_differs_and_no_other(
    runs: Path, tmp_path: Path
) -> None:
    build_site(runs, tmp_path / "out")
    text = page(tmp_path / "out/index.html")
    assert [name for name in columns(text) if "." in name] == ["training.learning_rate", "training.seed"]
    write_record(runs, synthetic_record(9, name="failed"))
    delete_run(runs, "failed")
    build_site(runs, tmp_path / "out")
    assert [name for name in columns(page(tmp_path / "out/index.html")) if "." in name] == ["training.seed"]


def test_seeds_of_one_configuration_are_told_with_mean_and_spread(runs: Path, tmp_path: Path) -> None:
    build_site(runs, tmp_path / "out")
    text = page(tmp_path / "out/index.html")
    (row,) = re.findall(r"<tr><td>(?:<a[^>]*>run-000\d</a>(?:, )?){4}</td><td>4</td><td>([^<]*)</td>", text)
    skills = [synthetic_record(number).headline.skill.skill for number in range(4)]  # type: ignore[union-attr]
    mean = sum(skills) / 4  # type: ignore[arg-type]
    assert row.startswith(f"{100 * mean:+.1f} %".replace("-", "−"))


def test_every_value_is_escaped_and_a_path_is_cut_to_its_name(runs: Path, tmp_path: Path) -> None:
    build_site(runs, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.html"):
        assert HOSTILE not in page(path)
    assert html.escape(HOSTILE) in page(tmp_path / "out/run/failed/index.html")
    assert "/home/x" not in page(tmp_path / "out/index.html")


def test_only_what_changed_is_written_again(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build_site(runs, out) == 5
    before = {path: path.stat().st_ino for path in out.rglob("*.html")}
    assert build_site(runs, out) == 0
    assert {path: path.stat().st_ino for path in out.rglob("*.html")} == before
    write_record(runs, synthetic_record(4))
    assert build_site(runs, out) == 1
    changed = {path for path in out.rglob("*.html") if before.get(path) != path.stat().st_ino}
    assert changed == {out / "index.html", out / "run/run-0004/index.html"}


def test_a_deleted_run_leaves_the_site_and_a_damaged_record_is_named_and_skipped(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    build_site(runs, out, [["run-0000", "run-0001"], ["run-0001", "run-0002"]])
    assert len(list((out / "compare").iterdir())) == 2
    delete_run(runs, "run-0000")
    (runs / "run-0003/run.json").write_text("{", encoding="utf-8")
    build_site(runs, out)
    assert not (out / "run/run-0000").exists()
    assert [path.name for path in (out / "compare").iterdir()] == ["run-0001+run-0002.html"]
    assert "run-0003/run.json" in caplog.text
    assert "run-0003" not in page(out / "index.html")


def test_a_folder_of_other_files_is_left_alone(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(UserError):
        build_site(runs, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_report_that_cannot_be_written_is_one_sentence_and_leaves_nothing_half(
    runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build_site(runs, out)
    (out / "run/run-0000/report.html").mkdir()
    (runs / "run-0000/report.html").write_text("the page", encoding="utf-8")
    write_record(runs, synthetic_record(0).model_copy(update={"reused": ("train",)}))
    with pytest.raises(ArtifactError, match=r"cannot write .*report\.html .*; choose another folder"):
        build_site(runs, out)
    assert sorted(path.name for path in (out / "run/run-0000").iterdir()) == ["index.html", "report.html"]


def test_a_report_that_cannot_be_read_is_told_on_the_runs_page_and_stops_no_other(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = runs / "run-0001/report.html"
    report.write_text("the page", encoding="utf-8")
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path == report:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    out = tmp_path / "out"
    build_site(runs, out)
    assert "report.html cannot be read (Input/output error)" in page(out / "run/run-0001/index.html")
    assert (out / "run/run-0002/index.html").is_file()
    assert not (out / "run/run-0001/report.html").exists()


def test_a_bar_ends_where_its_axis_does() -> None:
    drawn = bar(SkillInterval(skill=-3.0, low=-9.0, high=0.05), 0.1)
    assert 'x="0.0" width="90.0"' in drawn
    assert 'class="even"' in drawn
    assert 'class="good"' in bar(SkillInterval(skill=0.03, low=0.01, high=0.05), 0.1)
    assert bar(SkillInterval(skill=None, low=None, high=None), 0.1) == bar(None, 0.1) == ""


def test_curves_of_one_value_are_drawn(tmp_path: Path) -> None:
    drawn = curves([Curve("a", (1,), (2.0,), 0, ring=1)], "Loss", "epoch")
    assert re.search(r'points="\d+\.\d,\d+\.\d"', drawn)
    assert drawn.count("<circle") == 2, "its point, which no line shows, and the ring about it"


def test_a_run_is_copied_whole_and_checked_on_the_way(runs: Path, tmp_path: Path) -> None:
    (runs / "run-0000/report.html").write_text("page", encoding="utf-8")
    to = tmp_path / "copy"
    assert {file.name for file in download_run(runs, "run-0000", to)} == {"run.json", "report.html"}
    assert page(to / "report.html") == "page"
    download_run(runs, "run-0000", to)
    (to / "report.html").write_text("another", encoding="utf-8")
    with pytest.raises(UserError):
        download_run(runs, "run-0000", to)
    with pytest.raises(UserError):
        download_run(runs, "run-0000", tmp_path / "none", ["model/*"])
    assert not (tmp_path / "none").exists()


def test_a_run_that_others_use_or_that_is_going_on_is_not_deleted(runs: Path) -> None:
    (runs / "run-0000/dataset").mkdir()
    write_record(runs, synthetic_record(1, artifacts={"dataset": "../run-0000/dataset"}))
    with pytest.raises(UserError, match="run-0001"):
        delete_run(runs, "run-0000")
    with held_run(runs / "run-0002"), pytest.raises(UserError):
        delete_run(runs, "run-0002")
    assert (runs / "run-0000/dataset").exists()
    assert (runs / "run-0002/run.json").exists()


@pytest.fixture
def server(runs: Path) -> Iterator[SiteServer]:
    with answering(SiteServer(runs, 0)) as server:
        yield server


def asked(server: SiteServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_server_shows_a_new_run_at_once_and_answers_to_no_other_name(
    runs: Path, server: SiteServer
) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert "run-0007" not in asked(server, "/")[1]
    write_record(runs, synthetic_record(7))
    status, text = asked(server, "/index.html")
    assert (status, "run-0007" in text) == (200, True)
    assert asked(server, "/", "evil.example")[0] == 403
    assert asked(server, "/run/")[0] == 404
    assert asked(server, "/../run-0000/run.json")[0] == 404


def test_a_site_that_cannot_be_made_again_says_why_in_the_browser(runs: Path, server: SiteServer) -> None:
    assert asked(server, "/")[0] == 200
    runs.rename(runs.with_name("elsewhere"))
    status, text = asked(server, "/")
    assert (status, "there is no folder" in text) == (500, True)


def test_wrong_input_is_one_sentence(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--runs", str(runs)]
    for words in (
        ["site", str(tmp_path / "out"), "--runs", str(tmp_path / "nowhere")],
        ["site", str(tmp_path / "out"), "--compare", "run-0000", *there],
        ["site", str(tmp_path / "out"), "--compare", "run-0000,nothing", *there],
        ["serve", "--port", "99999", *there],
        ["download", "nothing", str(tmp_path / "copy"), *there],
        ["delete", "nothing", *there],
    ):
        assert main(["runs", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
