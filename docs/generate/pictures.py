"""``make pictures ARGS="runs/<name>/report.html --site review"``: the pictures of README and of docs/runs.md.

They are taken of the page of a run, and of the site of three runs, by Debian's chromium.
"""

import re
import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

PICTURES = Path(__file__).parent.parent / "pictures"
SCREEN = (1280, 960)
"""Width and height of the first screen, in pixels."""
FIGURE_WIDTH = 928
"""A wide page's column."""
SITE = {"runs": ("index.html", (1400, 440)), "compare": ("compare/*.html", (900, 1215))}
"""File → page of a site, the first that fits, and width and height of its first screen."""
FIGURES = {"fan": "candles1", "calibration": "reliability"}
"""File → figure of the page, by the name that ``model_core.report`` draws it under."""


def main() -> None:
    """Parse the arguments and write the pictures."""
    parser = ArgumentParser(prog="python -m docs.generate.pictures", description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", help="report.html of a quickstart run")
    parser.add_argument("--site", type=Path, help="folder of a site of three runs that are compared")
    given = parser.parse_args()
    browser = shutil.which("chromium")
    if browser is None:
        parser.error("chromium is missing: apt install chromium")
    if given.page is None and given.site is None:
        parser.error("name the report of a quickstart run, or a site with --site")
    if given.page is not None:
        take_report(parser, browser, given.page)
    if given.site is not None:
        take_site(parser, browser, given.site)


def take_site(parser: ArgumentParser, browser: str, site: Path) -> None:
    """The pictures of a site; ends the process where it lacks a page."""
    with TemporaryDirectory() as folder:
        for file, (pattern, size) in SITE.items():
            page = next(iter(sorted(site.glob(pattern))), None)
            if page is None:
                parser.error(
                    f"there is no {site / pattern}: pgat runs site {site} --compare first,second,third"
                )
            picture(browser, page, PICTURES / f"{file}.png", size, Path(folder))


def take_report(parser: ArgumentParser, browser: str, page: Path) -> None:
    """The pictures of the page of a run; ends the process if it is no such page."""
    if not page.is_file():
        parser.error(f"there is no page at {page}: make a run first, which ends with the path of its report")
    text = page.read_text(encoding="utf-8")
    drawn = {file: figure_of(text, name) for file, name in FIGURES.items()}
    missing = [FIGURES[file] for file, svg in drawn.items() if svg is None]
    if missing:
        parser.error(
            f"{page} has no figure {' and no figure '.join(missing)}: take the page of a quickstart run"
        )
    with TemporaryDirectory() as folder:
        picture(browser, page, PICTURES / "report.png", SCREEN, Path(folder))
        for file, svg in drawn.items():
            assert svg is not None
            alone = Path(folder) / f"{file}.html"
            alone.write_text(only(text, svg), encoding="utf-8")
            picture(browser, alone, PICTURES / f"{file}.png", (FIGURE_WIDTH, height_of(svg)), Path(folder))


def figure_of(page: str, name: str) -> str | None:
    """The ``<svg>`` that is drawn under ``name`` for a wide page; None if the page has none."""
    found = re.search(rf'<svg [^>]*aria-labelledby="{name}-title".*?</svg>', page, re.DOTALL)
    return found and found[0]


def only(page: str, svg: str) -> str:
    """A page in the style of ``page`` that holds ``svg`` and nothing else."""
    head = page[: page.index("</head>")]
    return f'{head}</head><body><figure style="margin:0">{svg}</figure></body></html>'


def height_of(svg: str) -> int:
    """Pixels that it takes in the width of the column."""
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert box is not None  # every figure has one
    return round(FIGURE_WIDTH * float(box[2]) / float(box[1]))


def picture(browser: str, page: Path, file: Path, size: tuple[int, int], profile: Path) -> None:
    """What ``page`` looks like in a window of ``size``, as PNG."""
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={profile / 'profile'}",
        f"--window-size={size[0]},{size[1]}",
        f"--screenshot={file}",
        page.resolve().as_uri(),
    ]
    subprocess.run([browser, *arguments], check=True, capture_output=True, timeout=120)
    print(file)  # noqa: T201


if __name__ == "__main__":
    main()
