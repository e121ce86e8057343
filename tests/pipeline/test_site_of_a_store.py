"""The site of a store's runs is that of a folder's, here or in a store, and only what changed is written again."""

from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.review.publishing import publish
from tests.pipeline.shelf import SHELF, Says
from tests.security.hostile_s3 import HostileS3


def test_a_site_of_a_store_is_made_like_one_of_a_folder_and_only_what_changed_again(
    published: Path, s3: HostileS3, tmp_path: Path, said: Says
) -> None:
    out = tmp_path / "site"
    line = ["site", str(out), "--runs", SHELF, "--compare", "one,other"]
    assert said(*line).endswith("3 runs written\n")
    page = (out / "run/one/index.html").read_text(encoding="utf-8")
    assert "Loss by epoch" in page
    assert "runs open one --runs &#39;s3://bucket/team one/runs&#39;" in page
    assert (out / "compare/one+other.html").is_file()
    for path in out.rglob("*.html"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
        assert "/pgat-" not in path.read_text(encoding="utf-8")
    del s3.requests[:]
    assert said("site", str(out), "--runs", SHELF).endswith("0 runs written\n")
    assert not any("/one/" in path for path, _ in s3.requests)
    publish(published, "failed", SHELF)
    assert said("site", str(out), "--runs", SHELF).endswith("1 run written\n")


def test_a_site_goes_to_a_store_and_only_what_changed_again(
    published: Path, s3: HostileS3, said: Says
) -> None:
    site = "s3://bucket/team one/site"
    line = ["site", site, "--runs", SHELF, "--compare", "one,other"]
    assert said(*line) == f"{site}/index.html: 3 runs written\n"
    pages = {key for key in s3.objects if "/site/" in key}
    names = ("index.html", "run/one/index.html", "compare/one+other.html", "site.json")
    assert {f"team one/site/{name}" for name in names} <= pages
    sent: list[str] = []
    s3.on_put = lambda key: sent.append(key.removeprefix("team one/site/"))
    assert said("site", site, "--runs", SHELF).endswith("0 runs written\n")
    assert sent == []
    main(["runs", "delete", "one", "--runs", SHELF])
    del sent[:]
    said("site", site, "--runs", SHELF)
    assert sent == ["index.html", "site.json"]
    assert not any("/site/run/one/" in key for key in s3.objects)


@pytest.mark.parametrize("out", [SHELF, "s3://bucket/other", "s3:/bucket/site", "s3://bucket/a//b"])
def test_a_site_goes_to_no_place_of_something_else(
    out: str, published: Path, s3: HostileS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Says
) -> None:
    monkeypatch.chdir(tmp_path)
    s3.objects["other/notes.txt"] = b"somebody's"
    before = dict(s3.objects), sorted(tmp_path.iterdir())
    assert refused("site", out, "--runs", SHELF).count("\n") == 1
    assert (s3.objects, sorted(tmp_path.iterdir())) == before
