"""What is published: no name becomes a script, no page runs one, and none tells where a file lay on this machine."""

import dataclasses
import gzip
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.report.step import run
from model_core.artifacts import MANIFEST, read_json, write_json, write_manifest
from model_core.config.run import ReportSettings, Settings
from model_core.errors import UserError
from model_core.publishing.index import Index
from model_core.publishing.page import index_page
from model_core.publishing.pieces import Piece, packed
from model_core.publishing.policy import CONTENT_POLICY
from model_core.publishing.publish import indexed_records
from model_core.report.evidence import read_evidence
from model_core.report.page import render_summary
from model_core.results.run import RunRecord
from model_core.store.local import LocalStore
from model_core.store.names import is_run_name, published_name
from pipelines.resources import Cluster
from pipelines.runners.local import LocalRun, run_locally
from pipelines.submission import Submission
from tests.evaluation.small_run import small_run
from tests.security.test_strays import PUBLISHED, indexed

NAMES = [
    "javascript:alert(1)", "JavaScript:x", "data:text,x", "//evil.example", "../x", "a/b", "<script>", 'a"onclick=x',
    "", ".", "..", ".hidden", "-rf", "A", "a b", "a\nb", "a" * 64, "ä", "index.html",
]  # fmt: skip


def published(tmp_path: Path, name: str, **changed: Any) -> Path:
    given: dict[str, Any] = dict(small_run()) | changed
    run(
        **given, report=tmp_path / "out/report.html", summary=tmp_path / "out/summary.md",
        settings=ReportSettings(example_windows=1), publish_uri=str(tmp_path / "shelf"), run_name=name,
    )  # fmt: skip
    return tmp_path / "shelf"


@pytest.mark.parametrize("name", NAMES)
def test_one_rule_for_names_refuses_them_wherever_they_come_from(name: str, tmp_path: Path) -> None:
    assert not is_run_name(name)
    with pytest.raises(UserError, match="cannot name a run"):
        published(tmp_path, name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="cannot name a run"):
        run_locally(LocalRun(Settings(), "sample://nasdaq", tmp_path, name))
    if name:  # without one, submit makes one
        with pytest.raises(UserError, match="cannot name a run"):
            Submission("http://127.0.0.1", Settings(), Cluster(tag="1"), "sample://nasdaq", name=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_record_that_somebody_put_into_the_index_makes_no_link(name: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    files = {"report.html": {"sha256": "0" * 64, "size": 1}}
    indexed(store, packed(Piece((PUBLISHED | {"name": name, "files": files},))))
    assert "<a " not in index_page(indexed_records(store, Index(store)))


def test_links_come_from_names_and_words_are_escaped() -> None:
    hostile = dict.fromkeys(("started_at", "source", "status", "failed_step"), "<script>alert(1)</script>")
    files = {"report.html": {"sha256": "0" * 64, "size": 1}, "javascript:x": {"sha256": "0" * 64, "size": 1}}
    page = index_page([RunRecord.model_validate(PUBLISHED | hostile | {"files": files})])
    assert re.findall(r'href="([^"]*)"', page) == ["./good/report.html"]
    assert "<script" not in page


HOSTILE_WORDS = (
    '<img src=x onerror="alert(1)"> [go](javascript:alert(1)) ![see](http://evil.example) | a\n# b\x1b[2J'
)


def test_a_summary_holds_no_tag_no_link_and_no_line_of_somebody_elses(tmp_path: Path) -> None:
    """Kubeflow shows it as Markdown, and Markdown may hold HTML."""
    given = small_run()
    evidence = read_evidence(**{name: given[name] for name in ("dataset", "model", "evaluation", "findings")})
    plain = render_summary(evidence, "a")
    scores = evidence.scores
    forecasts = {
        name: each.model_copy(update={"title": HOSTILE_WORDS}) for name, each in scores.forecasts.items()
    }
    verdict = scores.verdict.model_copy(update={"text": HOSTILE_WORDS})
    perturbations = [
        each.model_copy(update={"title": HOSTILE_WORDS, "fragile": True})
        for each in evidence.findings.perturbations
    ]
    hostile = dataclasses.replace(
        evidence,
        scores=scores.model_copy(
            update={"forecasts": forecasts, "verdict": verdict, "first_date": HOSTILE_WORDS}
        ),
        findings=evidence.findings.model_copy(update={"perturbations": tuple(perturbations)}),
    )
    text = render_summary(hostile, "a")
    assert not re.search(r"<[a-zA-Z/!]", text)
    assert not re.search(r"\]\(", text)
    assert "\x1b" not in text
    assert len(text.splitlines()) == len(plain.splitlines())
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    # Of the tiles, and of the forecasts.
    assert set(cells) == {3, 6}


def test_every_page_forbids_scripts_and_loads_nothing(tmp_path: Path) -> None:
    shelf = published(tmp_path, "first")
    assert "default-src 'none'" in CONTENT_POLICY
    assert "script-src" not in CONTENT_POLICY
    for page in shelf.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        head = text[: text.index("</head>")]
        assert head.index("Content-Security-Policy") < head.index("<title>")
        assert "<script" not in text
        assert not re.search(r"<[^>]*\son\w+=", text)
        # A reference leads into the page, to a run's own folder, or holds its picture itself.
        for value in re.findall(r'(?:href|src)="([^"]*)"', text):
            assert value.startswith(("#", "data:image/png;base64,", "./first/"))
    assert len(list(shelf.rglob("*.html"))) == 2


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/home/someone/secret project/prices.csv", "prices.csv"),
        ("~/prices.csv", "prices.csv"),
        ("../data/prices.csv", "prices.csv"),
        ("file:///home/someone/my%20prices.csv", "my prices.csv"),
        ("C:\\Users\\someone\\prices.csv", "prices.csv"),
        ("s3://market/nasdaq.csv", "s3://market/nasdaq.csv"),
        ("sample://nasdaq", "sample://nasdaq"),
    ],
)
def test_of_a_local_source_only_the_files_name_is_published(uri: str, name: str) -> None:
    assert published_name(uri) == name


def test_no_published_file_tells_where_the_source_lay(tmp_path: Path) -> None:
    place = f"{tmp_path}/secret project/prices.csv"
    dataset = tmp_path / "dataset"
    shutil.copytree(small_run()["dataset"], dataset)
    quality = read_json(dataset / "quality.json")
    write_json(dataset / "quality.json", quality | {"source": {"uri": place, "sha256": "0" * 64}})
    (dataset / MANIFEST).unlink()
    write_manifest(dataset, producer="prepare_data", settings={"source": place, "data": {}})
    shelf = published(tmp_path, "first", dataset=dataset)
    files = [path for path in shelf.rglob("*") if path.is_file()]
    pieces = [path for path in files if path.suffix == ".gz"]
    assert len(pieces) == 1
    assert {path.name for path in files} - {pieces[0].name} == {
        "index.html", "run.json", "report.html", "summary.md",
    }  # fmt: skip
    for path in files:
        text = (gzip.decompress(path.read_bytes()) if path in pieces else path.read_bytes()).decode()
        assert "secret project" not in text
        assert str(tmp_path) not in text
        assert ("prices.csv" in text) == (path.name != "summary.md")
