"""Generated pages are those that the code makes now, and every setting says what it is."""

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from components.steps import STEPS
from docs.generate.pages import PAGES, ROOT
from model_core.config.load import load_settings
from model_core.config.mistakes import names
from model_core.config.run import Settings

COMMANDS = {path.stem for path in (ROOT / "pipelines/commands").glob("*.py")} - {"__init__", "options"}


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_fresh(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def documented(section: BaseModel, place: str = "") -> Iterator[tuple[str, str | None]]:
    for name, field in type(section).model_fields.items():
        yield f"{place}{name}", field.description
        if isinstance(value := getattr(section, name), BaseModel):
            yield from documented(value, f"{place}{name}.")


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, text in documented(Settings()) if not text]
    assert silent == []


def test_the_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    missing = [
        name for name in names(Settings) if f"`{name.rpartition('.')[2]}`" not in page.replace(".", "` `")
    ]
    assert missing == []


def test_the_other_kinds_of_splits_that_the_file_shows_are_read(tmp_path: object) -> None:
    lines = (ROOT / "configs/celestial_enhanced_pgat.yaml").read_text(encoding="utf-8").splitlines()
    shown = [line.removeprefix("#   ") for line in lines if line.startswith("#   {kind: ")]
    kinds = [load_settings(None, [f"data.splits={split}"]).data.splits.kind for split in shown]
    assert kinds == ["tail", "dates", "rolling"]


def test_the_page_of_commands_says_what_each_command_and_each_argument_is_for() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert not re.search(r"^None$|\|\s*\|$", page, re.MULTILINE)
    for module in [
        *(f"components.{step}" for step in STEPS),
        *(f"pipelines {name}" for name in COMMANDS - {"runs"}),
    ]:
        assert f"`python -m {module}`\n" in page
