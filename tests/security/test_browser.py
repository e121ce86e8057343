"""In a browser: the published pages work under their Content-Security-Policy, and a script that got in does not run."""

import re
import subprocess
from pathlib import Path

import pytest

from components.report.step import run
from model_core.config.run import ReportSettings
from model_core.publishing.policy import CONTENT_POLICY
from tests.conftest import _program
from tests.evaluation.small_run import small_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BROWSER = ("chromium", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
    ),
    *("--enable-logging=stderr", "--virtual-time-budget=5000"),
)
INJECTED = {
    "a script": "<script>document.title = 'owned'</script>",
    "a script from elsewhere": "<script src=\"data:text/javascript,document.title='owned'\"></script>",
    "a handler": "<img src=x onerror=\"document.title = 'owned'\">",
    "a frame": "<iframe srcdoc=\"<script>parent.document.title = 'owned'</script>\"></iframe>",
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf with one published run: ``index.html`` and ``first/report.html``."""
    folder = tmp_path_factory.mktemp("pages")
    run(
        **small_run(), report=folder / "out/report.html", summary=folder / "out/summary.md",
        settings=ReportSettings(example_windows=1), publish_uri=str(folder / "shelf"), run_name="first",
    )  # fmt: skip
    return folder / "shelf"


def opened(page: Path, folder: Path) -> tuple[str, list[str]]:
    """The document as the browser has it in the end, and what it said on its console."""
    program = _program(*BROWSER)
    assert program is not None
    done = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r'CONSOLE.*?\] "(.*)", source', done.stderr)


@pytest.mark.parametrize("name", ["index.html", "first/report.html"])
def test_a_page_needs_nothing_that_its_policy_forbids(name: str, shelf: Path, tmp_path: Path) -> None:
    document, said = opened(shelf / name, tmp_path)
    assert said == []
    assert "first" in document
    assert ("<svg" in document) == (name != "index.html")


@pytest.mark.parametrize("markup", INJECTED.values(), ids=INJECTED.keys())
@pytest.mark.parametrize("name", ["index.html", "first/report.html"])
def test_a_script_that_got_into_a_page_does_not_run(
    name: str, markup: str, shelf: Path, tmp_path: Path
) -> None:
    text = (shelf / name).read_text(encoding="utf-8").replace("</body>", f"{markup}</body>")
    assert markup in text
    page = tmp_path / "page.html"
    page.write_text(text, encoding="utf-8")
    document, said = opened(page, tmp_path)
    assert "<title>owned</title>" not in document
    assert any("Content Security Policy" in line for line in said)
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    assert policy.search(text)
    page.write_text(policy.sub("", text), encoding="utf-8")
    assert "<title>owned</title>" in opened(page, tmp_path)[0], "without the policy it would"


def test_the_policy_is_the_one_that_was_tried(shelf: Path) -> None:
    for page in shelf.rglob("*.html"):
        assert f'content="{CONTENT_POLICY}"' in page.read_text(encoding="utf-8").replace("&#39;", "'")
