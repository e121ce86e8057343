"""The pictures of README are taken of any page, and those of the runs of any site."""

from pathlib import Path

import numpy as np
import pytest

from docs.generate import pictures
from model_core.config.run import ReportSettings
from model_core.report.page import render_page
from tests.conftest import GOLDEN
from tests.report.synthetic import evidence

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_pictures_of_readme_are_taken_of_any_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, folder = tmp_path / "report.html", tmp_path / "pictures"
    page.write_text(
        render_page(evidence(GOLDEN), ReportSettings(example_windows=2), "a-run"), encoding="utf-8"
    )
    folder.mkdir()
    monkeypatch.setattr(pictures, "PICTURES", folder)
    monkeypatch.setattr("sys.argv", ["pictures", str(page)])
    pictures.main()
    sizes = {p.stem: tuple(np.frombuffer(p.read_bytes(), ">u4", 2, 16).tolist()) for p in folder.iterdir()}
    assert sizes.keys() == {"report", *pictures.FIGURES}
    assert sizes["report"] == pictures.SCREEN
    assert {width for name, (width, _) in sizes.items() if name != "report"} == {pictures.FIGURE_WIDTH}


def test_the_pictures_of_the_runs_are_taken_of_any_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, taken = tmp_path / "site", tmp_path / "taken"
    (site / "compare").mkdir(parents=True)
    taken.mkdir()
    (site / "index.html").write_text("<p>runs", encoding="utf-8")
    monkeypatch.setattr(pictures, "PICTURES", taken)
    monkeypatch.setattr("sys.argv", ["pictures", "--site", str(site)])
    with pytest.raises(SystemExit):
        pictures.main()
    assert "--compare first,second,third" in capsys.readouterr().err
    (site / "compare/a+b.html").write_text("<p>two", encoding="utf-8")
    pictures.main()
    sizes = {p.stem: tuple(np.frombuffer(p.read_bytes(), ">u4", 2, 16).tolist()) for p in taken.iterdir()}
    assert sizes == {file: size for file, (_, size) in pictures.SITE.items()}
