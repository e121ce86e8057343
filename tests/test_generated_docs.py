"""Generated pages are those that the code makes now, and every setting says what it is."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from docs.generate.pages import PAGES, ROOT
from model_core.config.load import load_settings, names
from model_core.config.run import Settings


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
