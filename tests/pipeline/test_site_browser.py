"""In a browser: a site of a thousand runs is sorted and filtered, by mouse, keyboard and link, on a phone, too."""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest

from pipelines.site.build import build_site
from tests.conftest import _program
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.test_browser import BROWSER, FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MANY = 1000
ASKED = """<script>
addEventListener("load", () => setTimeout(() => {
  const rows = [...document.querySelectorAll("#runs tbody tr")].filter(row => !row.hidden);
  const heads = [...document.querySelectorAll("#runs th")];
  %s
  setTimeout(() => {
    const now = [...document.querySelectorAll("#runs tbody tr")].filter(row => !row.hidden);
    const told = {
      names: now.slice(0, 3).map(row => row.cells[0].textContent), count: now.length, hash: location.hash,
      sorted: heads.filter(head => head.hasAttribute("aria-sort")).map(head => head.textContent),
      wide: document.documentElement.scrollWidth > innerWidth,
      ink: getComputedStyle(document.body).color, focused: document.activeElement.textContent,
    };
    document.body.dataset.told = JSON.stringify(told);
  }, 50);
}, 50));
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand runs, the last of which failed."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(MANY - 1):
        write_record(folder / "runs", synthetic_record(number))
    failed = synthetic_record(MANY, status="failed", failed_step="train", headline=None, reason="<script>")
    write_record(folder / "runs", failed)
    build_site(folder / "runs", folder / "out")
    return folder / "out"


def told(site: Path, profile: Path, doing: str = "", fragment: str = "", *flags: str) -> dict[str, object]:
    """What the index shows after ``doing``; the policy, which would forbid the question, is left out of a copy."""
    program = _program(*BROWSER)
    assert program is not None
    text = (site / "index.html").read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page = site / "asked.html"
    page.write_text(text.replace("</body>", f"{ASKED % doing}</body>"), encoding="utf-8")
    done = subprocess.run(
        [program, *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", f"{page.as_uri()}{fragment}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = re.search(r'data-told="([^"]*)"', done.stdout)
    assert found is not None, done.stdout[-2000:]
    return json.loads(html.unescape(found[1]))


def best(count: int = 3) -> list[str]:
    def skill(number: int) -> float:
        headline = synthetic_record(number).headline
        assert headline is not None
        assert headline.skill.skill is not None
        return headline.skill.skill

    return [f"run-{number:04}" for number in sorted(range(MANY - 1), key=skill, reverse=True)[:count]]


def test_the_page_works_under_its_policy(site: Path, tmp_path: Path) -> None:
    program = _program(*BROWSER)
    assert program is not None
    done = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", (site / "index.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert re.findall(r'CONSOLE.*?\] "(.*)", source', done.stderr) == []
    assert f"{MANY} of {MANY} runs" in done.stdout, "its script ran"


def test_a_click_sorts_by_numbers_and_what_is_unknown_comes_last(site: Path, tmp_path: Path) -> None:
    click = 'heads.find(head => head.dataset.key === "skill").querySelector("button").click();'
    found = told(site, tmp_path, click)
    assert (found["names"], found["count"], found["sorted"]) == (best(), MANY, ["skill"])
    assert found["hash"] == "#sort=skill&order=descending"


def test_the_fragment_of_a_link_sorts_and_filters(site: Path, tmp_path: Path) -> None:
    found = told(site, tmp_path, "", "#sort=name&order=ascending&filter=failed")
    assert (found["names"], found["count"]) == ([f"run-{MANY}"], 1)


def test_a_column_is_sorted_by_the_keyboard(site: Path, tmp_path: Path) -> None:
    press = 'const button = heads[0].querySelector("button"); button.focus(); button.click();'
    found = told(site, tmp_path, press)
    assert (found["focused"], found["sorted"]) == ("name", ["name"])


def test_a_phone_scrolls_the_table_and_not_the_page(site: Path, tmp_path: Path) -> None:
    assert not told(site, tmp_path, "", "", "--window-size=500,800")["wide"]


def test_a_dark_page_has_light_letters(site: Path, tmp_path: Path) -> None:
    dark = told(site, tmp_path, "", "", "--blink-settings=preferredColorScheme=0")["ink"]
    light = told(site, tmp_path, "", "", "--blink-settings=preferredColorScheme=1")["ink"]
    assert (dark, light) == ("rgb(232, 232, 232)", "rgb(27, 27, 27)")
