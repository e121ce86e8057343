"""In a browser: wide, on a phone, in the dark and on paper the page fits, can be read, and hides nothing on paper."""

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket
from time import monotonic, sleep
from typing import Any

import pytest

from model_core.config.run import ReportSettings
from model_core.report.page import render_page
from tests.conftest import AXE, GOLDEN
from tests.report.synthetic import evidence

pytestmark = [pytest.mark.browser, pytest.mark.webdriver, pytest.mark.slow]
MODES = {
    "wide": {"width": 1280, "scheme": "light", "media": ""},
    "dark": {"width": 1280, "scheme": "dark", "media": ""},
    "phone": {"width": 390, "scheme": "light", "media": ""},
    "paper": {"width": 800, "scheme": "light", "media": "print"},
}


class Browser:
    """What these tests need of WebDriver."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]}
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.session = f"/session/{self.call('/session', asked)['sessionId']}"

    def call(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def command(self, name: str, **parameters: Any) -> Any:
        return self.call(f"{self.session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script: str) -> Any:
        return self.call(f"{self.session}/execute/sync", {"script": script, "args": []})

    def look(self, page: Path, mode: str) -> None:
        how = MODES[mode]
        size = {"width": how["width"], "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = [{"name": "prefers-color-scheme", "value": how["scheme"]}]
        self.command("Emulation.setEmulatedMedia", media=how["media"], features=scheme)
        self.call(f"{self.session}/url", {"url": page.as_uri()})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL) as process:
        try:
            driven = opened(port)
            yield driven
            # The driver leaves it running when it is told to end itself.
            driven.call(driven.session, method="DELETE")
        finally:
            process.terminate()


def opened(port: int) -> Browser:
    deadline = monotonic() + 60
    while True:
        try:
            return Browser(port)
        except (ConnectionError, urllib.error.URLError):
            if monotonic() > deadline:
                raise
        sleep(0.1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        render_page(evidence(GOLDEN), ReportSettings(example_windows=2), "a-run"), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("mode", MODES)
def test_nothing_runs_out_of_the_page(mode: str, browser: Browser, page: Path) -> None:
    browser.look(page, mode)
    seen, there = browser.run("const d = document.documentElement; return [d.clientWidth, d.scrollWidth]")
    assert there <= seen


def test_a_phone_gets_figures_that_fit_and_a_wide_page_the_others(browser: Browser, page: Path) -> None:
    count = "return [...document.querySelectorAll('figure .%s')].filter(f => f.offsetParent).length"
    for mode, shown, hidden in (("wide", "broad", "slim"), ("phone", "slim", "broad")):
        browser.look(page, mode)
        assert browser.run(count % shown) > 10
        assert browser.run(count % hidden) == 0


def test_what_is_folded_is_open_on_paper_and_closed_on_a_screen(browser: Browser, page: Path) -> None:
    height = "return [...document.querySelectorAll('details')].map(d => d.getBoundingClientRect().height)"
    browser.look(page, "wide")
    folded = browser.run(height)
    browser.look(page, "paper")
    assert all(now > 2 * before for now, before in zip(browser.run(height), folded, strict=True))
    printed = browser.command("Page.printToPDF", printBackground=True)["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")


def test_whatever_scrolls_can_be_reached_by_keyboard_and_says_what_it_is(
    browser: Browser, page: Path
) -> None:
    browser.look(page, "phone")
    nameless = browser.run(
        "return [...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1 && "
        "['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && (e.tabIndex < 0 || !e.ariaLabel))"
        ".map(e => e.outerHTML.slice(0, 100))"
    )
    assert nameless == []


@pytest.mark.axe
@pytest.mark.parametrize("mode", MODES)
def test_axe_finds_no_fault_of_contrast_or_structure(mode: str, browser: Browser, page: Path) -> None:
    browser.look(page, mode)
    browser.command("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
    found = browser.command(
        "Runtime.evaluate", expression="axe.run(document)", awaitPromise=True, returnByValue=True
    )["result"]["value"]
    assert found["passes"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found["violations"]] == []
