"""Documentation is tested: what it links to, names and commands exists."""

import contextlib
import importlib
import io
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from docs.generate.pages import PAGES as GENERATED_PAGES

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docker").glob("*.md")]
    if path.name != "LICENSE"
)
PAGE_NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE_NAMED = re.compile(
    r"`((?:model_core|components|pipelines|configs|docs|tests|docker|benchmarks|requirements)/[\w./-]+)`"
)
MAKE_TARGET = re.compile(r"(?:^|[`\s])make ([a-z-]+)\b", re.M)
MODULE_RUN = re.compile(r"python -m (pipelines|components\.\w+)([^\n`|#]*)")
SETTING = re.compile(r"--set \"?([a-z_]+(?:\.[a-z_]+)+)=")
TEST_NAMED = re.compile(r"`?(tests/[\w/]+\.py)(?:::(\w+))?`?")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> str:
    """What stands in code: fenced blocks and inline spans, with continued lines joined."""
    text = text_of(page).replace("\\\n", " ")
    fenced = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return "\n".join([*fenced, *inline])


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    dead = [
        target
        for target in LINK.findall(text_of(page))
        if "://" not in target
        and not target.startswith(("#", "mailto:"))
        and not ((ROOT / page).parent / target.partition("#")[0]).exists()
    ]
    assert dead == []


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    missing = [name for name in FILE_NAMED.findall(text_of(page)) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    missing = []
    for name, test in TEST_NAMED.findall(text_of(page)):
        path = ROOT / name
        if not path.exists() or (test and f"def {test}" not in path.read_text(encoding="utf-8")):
            missing.append(f"{name}::{test}")
    assert missing == []


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_make_target_of_a_page_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(MAKE_TARGET.findall(commands(page)))
    assert named - targets == set()


@cache
def help_of(module: str, action: str) -> str:
    """What ``python -m module [action] --help`` prints."""
    printed = io.StringIO()
    main = importlib.import_module(f"{module}.__main__").main
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit, match="0"):
        main([*action.split(), "--help"])
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_flag_of_a_command_in_a_page_exists(page: str) -> None:
    unknown = []
    for module, rest in MODULE_RUN.findall(commands(page)):
        words = rest.split()
        action = words[0] if module == "pipelines" and words and words[0].isalpha() else ""
        if module == "pipelines" and not action:
            continue
        if action == "runs" and len(words) > 1:
            action = f"runs {words[1]}"
        offered = help_of(module, action)
        unknown += [
            f"{module} {action} {flag}"
            for flag in re.findall(r"(?<=\s)--[a-z-]+", rest)
            if not re.search(rf"{flag}\b", offered)
        ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_every_setting_in_a_page_exists(page: str) -> None:
    tree = yaml.safe_load((ROOT / "configs/celestial_enhanced_pgat.yaml").read_text(encoding="utf-8"))
    unknown = []
    for name in SETTING.findall(text_of(page)):
        place = tree
        for part in name.split("."):
            if name == "a.b":
                break
            if not isinstance(place, dict) or part not in place:
                unknown.append(name)
                break
            place = place[part]
    assert unknown == []


def test_the_tree_in_the_readme_names_every_top_level_entry() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    entries = {name.split("/")[0] + ("/" if "/" in name else "") for name in listed}
    quiet = {"LICENSE", ".gitignore", ".pre-commit-config.yaml", ".ci/", ".dockerignore", ".containerignore"}
    tree = text_of("README.md")
    assert [entry for entry in sorted(entries - quiet) if entry not in tree] == []


def test_no_page_holds_a_placeholder() -> None:
    left = [page for page in PAGE_NAMES if re.search(r"\{\{|\bTODO\b|\bTBD\b|\bFIXME\b|lorem", text_of(page))]
    assert left == []


GENERATED = {name for name in GENERATED_PAGES if name.endswith(".md")}
"""Read by searching, not from top to bottom: neither their length nor their tables' lines are held to anything."""
WORDS_AT_MOST = 1500
LONGER = {"CHANGELOG.md": "a list that grows", "docs/log.md": "a list that grows"}
"""Page → why it may be longer."""


def test_every_page_is_read_in_one_sitting() -> None:
    """Longer pages stand in LONGER with their reason, and a reason without need is removed."""
    lengths = {page: len(text_of(page).split()) for page in PAGE_NAMES}
    long = {page for page, length in lengths.items() if length > WORDS_AT_MOST}
    assert long - GENERATED == set(LONGER)


@pytest.mark.parametrize("page", [page for page in PAGE_NAMES if page not in GENERATED])
def test_no_line_of_prose_is_longer_than_the_screen(page: str) -> None:
    """The rows of a table cannot be broken, nor can a line of code or a link."""
    text = re.sub(r"^( *)```.*?^\1```", "", text_of(page), flags=re.M | re.S)
    long = [
        line
        for line in text.splitlines()
        if len(line) > 120 and not line.startswith("    ") and not line.lstrip().startswith(("|", "[", "!"))
    ]
    assert long == []
